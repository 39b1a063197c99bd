"""The figures of the page, in the order in which they stand there."""

from __future__ import annotations

from functools import partial

from exobench.report.entries import Entry
from exobench.report.plots import (
    corner,
    coverage,
    diagnostics,
    heat,
    learning,
    limit,
    pareto,
    ranks,
    robustness,
    run_calibration,
    runs,
    spectra,
)
from exobench.report.plots.spec import FigureSpec
from exobench.report.sections import Section

TASK_FIGURES: tuple[FigureSpec[Section], ...] = (
    FigureSpec(
        name="accuracy",
        title="Accuracy of each parameter",
        for_astronomer="How near a method's best estimate comes to the true value of each parameter: 1 is perfect, a "
        "skill of 0 is no better than guessing the average planet.",
        for_ml="Skill (1 - mse/variance of the truths) and hit rates of the posterior median within 10 and 1 % of the "
        "prior's range; a number in brackets is a smaller test set than that of the other rows.",
        needs="a run with scores of this version",
        draw=heat.draw_accuracy,
        describe=heat.describe_accuracy,
    ),
    FigureSpec(
        name="calibration",
        title="Calibration of each parameter",
        for_astronomer="Whether error bars mean what they say: white cells are honest, orange ones hold the truth too "
        "rarely (error bars too small), blue ones too often (too large).",
        for_ml="Empirical minus nominal coverage of central 68 and 95 % intervals in per cent, coloured in binomial "
        "standard errors (four are full colour), and Kolmogorov-Smirnov p-values of the randomised SBC ranks.",
        needs="a run with ranks of ten spectra or more",
        draw=heat.draw_calibration,
        describe=heat.describe_calibration,
    ),
    FigureSpec(
        name="coverage",
        title="Coverage at all levels",
        for_astronomer="How often the truth lies inside a method's error bars of a given level, minus how often it "
        "should: below zero they are too small, above too large, inside the grey band as good as chance allows.",
        for_ml="Empirical coverage of central intervals minus the nominal level, with the pointwise binomial and the "
        "simultaneous Kolmogorov 95 % bands of an exact posterior; names in grey rest on fewer spectra, for which the "
        "bands would be wider, and how far curves go that leave the frame stands below in words.",
        needs="a run with ranks of ten spectra or more",
        draw=coverage.draw_coverage,
        describe=coverage.describe_coverage,
    ),
    FigureSpec(
        name="sbc",
        title="Ranks of the truth (SBC)",
        for_astronomer="Where the truth falls among a method's sorted draws: flat is right, a hill means error bars "
        "that are too large, a bowl too small, a slope a bias to one side.",
        for_ml="Histograms of randomised SBC ranks from 0 (left) to 1 (right), cut at 2.2 times uniform (dotted), with "
        "the binomial 95 % band of each bar for the spectra of its row, whose number is in brackets where it is less.",
        needs="a run with ranks of ten spectra or more",
        draw=ranks.draw_sbc,
        describe=ranks.describe_sbc,
    ),
    FigureSpec(
        name="tarp",
        title="Coverage of all parameters together (TARP)",
        for_astronomer="The same question for all parameters at once, which sees wrong correlations that the single "
        "error bars hide: a curve inside the grey band is right.",
        for_ml="TARP expected coverage minus level, with reference points that depend on the spectrum and distances in "
        "unit-cube coordinates; necessary, not sufficient, for an exact posterior.",
        needs="a run with TARP ranks of ten spectra or more",
        draw=coverage.draw_tarp,
        describe=coverage.describe_tarp,
    ),
    FigureSpec(
        name="learning",
        title="Learning curves",
        for_astronomer="How much better each method gets when it is trained on more simulated planets; where a curve "
        "is flat, more simulations would not help.",
        for_ml="Mean energy score over the simulation budget; error bars join the error over test spectra with the "
        "spread over seeds, open markers are single seeds, and level lines are the prior and the exact posterior.",
        needs="runs of one method at two budgets",
        draw=learning.draw_learning,
        describe=learning.describe_learning,
    ),
    FigureSpec(
        name="pareto",
        title="Accuracy against cost",
        for_astronomer="What accuracy costs in computing: lower is more accurate, further left is cheaper, and methods "
        "on the dotted line are beaten by no other in both.",
        for_ml="Energy score against seconds a posterior, training seconds and likelihood calls (log scale) with the "
        "Pareto front; error bars are those of spectra that all methods share, so that differences are surer than the "
        "bars, and methods of no cost on an axis are not on it.",
        needs="two methods with recorded costs",
        draw=pareto.draw_pareto,
        describe=pareto.describe_pareto,
    ),
    FigureSpec(
        name="limit",
        title="Distance to the limit",
        for_astronomer="How much worse a method is than the best answer that the noise in the spectra allows: at zero "
        "nothing is left to gain.",
        for_ml="Paired difference of the energy score to draws of the exact posterior with its standard error, and the "
        "excess CRPS of each marginal in per cent; the spectra that both have are in brackets.",
        needs="the record of the exact posterior (python -m exobench.reference exact task=NAME) beside a method",
        draw=limit.draw_limit,
        describe=limit.describe_limit,
    ),
    FigureSpec(
        name="robustness",
        title="Robustness under shifts",
        for_astronomer="What happens when the spectra are unlike those that a method was trained on (other noise, "
        "clouds, an unknown gas): how much accuracy it loses, and whether it notices.",
        for_ml="Relative change of the energy score, worst marginal error of 68 % coverage and the AUROC of the "
        "method's own surprise for each distribution shift, paired by spectrum with the unshifted test set.",
        needs="a run with a shift that could be scored (python -m exobench.shifts RUN)",
        draw=robustness.draw_robustness,
        describe=robustness.describe_robustness,
    ),
    FigureSpec(
        name="spectra",
        title="Example spectra",
        for_astronomer="Observed spectra, and below each how far the spectra that a method's answers predict lie from "
        "those of the reference: a band much wider than the grey one knows less than the data allow.",
        for_ml="Posterior-predictive 95 % bands of the noise-free depth (200 draws) beside the median of the reference "
        "posterior; lines between bins guide the eye, and names in the legend switch methods on and off.",
        needs="a run whose draws were kept, or that stored predicted spectra",
        draw=spectra.draw_spectra,
        describe=spectra.describe_spectra,
    ),
    *(
        FigureSpec(
            name=f"corner_{place + 1}",
            title=f"Posteriors over the reference, example spectrum {place + 1}",
            for_astronomer="Which values of each parameter and pair of parameters a method holds possible (lines), "
            "over what the data truly allow (grey), with the true values as dotted lines.",
            for_ml="Marginals and 68 and 95 % highest-density contours of smoothed draws over those of the reference "
            "posterior; names in the legend switch methods on and off.",
            needs="a run whose draws were kept",
            draw=partial(corner.draw_corner, place=place),
            describe=partial(corner.describe_corner, place=place),
        )
        for place in range(2)
    ),
)
"""Of a section: every one is drawn with the section and the caches of its entries."""

RUN_FIGURES: tuple[FigureSpec[Entry], ...] = (
    FigureSpec(
        name="loss",
        title="Training",
        for_astronomer="How the fit improved while it was trained: lower is better, and a curve that has levelled off "
        "was trained long enough.",
        for_ml="Training and validation losses over steps, as the method reported them; a gap that opens is "
        "overfitting.",
        needs="losses that the method reported",
        draw=runs.draw_loss,
        describe=runs.describe_loss,
    ),
    FigureSpec(
        name="scatter",
        title="Estimate over truth",
        for_astronomer="Each point is a spectrum: the method's estimate with its 68 % error bar against the true "
        "value; points on the line are right.",
        for_ml="Posterior medians with central 68 % intervals over the truths of the first test spectra, the same ones "
        "for every method.",
        needs="a run with scores",
        draw=runs.draw_scatter,
        describe=runs.describe_scatter,
    ),
    FigureSpec(
        name="coverage",
        title="Coverage of each parameter",
        for_astronomer="How often the truth lies inside error bars of a given level: on the diagonal they are honest, "
        "below it too small, above it too large.",
        for_ml="Empirical coverage of central intervals over the nominal level, with the pointwise binomial and the "
        "simultaneous Kolmogorov 95 % bands.",
        needs="a run with ranks of ten spectra or more",
        draw=run_calibration.draw_run_coverage,
        describe=run_calibration.describe_run_coverage,
    ),
    FigureSpec(
        name="sbc",
        title="Ranks of the truth (SBC)",
        for_astronomer="Where the truth falls among the sorted draws: flat is right, a hill means error bars that are "
        "too large, a bowl too small, a slope a bias.",
        for_ml="Histogram of randomised SBC ranks relative to uniform, with the binomial 95 % band of each bar.",
        needs="a run with ranks of ten spectra or more",
        draw=ranks.draw_run_sbc,
        describe=ranks.describe_run_sbc,
    ),
    FigureSpec(
        name="tarp",
        title="Coverage of all parameters together (TARP)",
        for_astronomer="The same question for all parameters at once, which sees wrong correlations that single error "
        "bars hide.",
        for_ml="TARP expected coverage over the level, reference points depending on the spectrum, with its "
        "simultaneous 95 % band.",
        needs="a run with TARP ranks of ten spectra or more",
        draw=run_calibration.draw_run_tarp,
        describe=run_calibration.describe_run_tarp,
    ),
    FigureSpec(
        name="energy",
        title="Energy score of each spectrum",
        for_astronomer="How the accuracy differs between planets: a long tail to the right are spectra on which the "
        "method fails.",
        for_ml="Distribution of the per-spectrum energy score in unit-cube coordinates (log scale, lower is better) "
        "with its median.",
        needs="two spectra with an energy score",
        draw=runs.draw_energy,
        describe=runs.describe_energy,
    ),
    FigureSpec(
        name="diagnostics",
        title="What the sampler says of itself",
        for_astronomer="The sampler's own figures of merit for each spectrum: how many independent draws it has and "
        "what they cost.",
        for_ml="Empirical distribution functions over spectra of effective sample size, Pareto k, R-hat, calls and "
        "whatever else the method recorded.",
        needs="numbers that the method recorded of each spectrum",
        draw=diagnostics.draw_diagnostics,
        describe=diagnostics.describe_diagnostics,
    ),
)
"""Of a run with scores: every one is drawn with its entry and the caches of the entries."""
