"""``python -m exobench.retrieve SPECTRUM run=FOLDER``: what a finished run says of a spectrum of one's own."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from exobench.progress import Progress
from exobench.retrieve.request import Request, parse
from exobench.small_commands import command_arguments, failing_in_one_line, with_output_help

HELP = """usage: python -m exobench.retrieve SPECTRUM run=FOLDER [KEY=VALUE ...]

Retrieves one transit spectrum with a finished run; nothing is trained. SPECTRUM is a TauREx .dat (wavelength in um,
depth, error, maybe bin width), a .csv or .ecsv with named columns and units, or a .tbl of the NASA Exoplanet Archive.
Prints the posterior table and writes posterior.csv, summary.txt, corner and spectrum figures (PNG, SVG), draws.nc
(ArviZ InferenceData) and taurex3.par, with which TauREx 3 goes on.

A real spectrum needs a run on opacities of files (opacities.path=FOLDER), best on task hotjupiter_varied. To try:
  python -m exobench.retrieve.simulate run=FOLDER out=planet.dat
  python -m exobench.retrieve planet.dat run=FOLDER

settings, with their defaults:
  run=                folder of a finished run, or one above it; needed
  out=                folder of the answer; default: retrieved-NAME, retrieved-NAME-importance with refine=importance
  n_draws=4000        draws of the posterior
  seed=0              of the draws
  device=auto         auto, cpu, cuda
  refine=             importance, smc or nested: the exact likelihood on top of the run's answer
  star_radius_rsun=   of the spectrum's star; default: that of the .par file, else the task's
  par=                TauREx parameter file of the spectrum; default: the one beside a .dat; none for none
  wavelength_unit=    where the file gives none (default um): nm, Angstrom, m, cm-1, ...
  depth_unit=         where the file gives none (default fraction): fraction, percent, ppm, radius_ratio
  simulated=false     the spectrum is simulated, though its header does not say so
  demo=false          answer for a real spectrum without real opacities; marks all output "not for science"
  opacities.path=     folder of opacities that the run was made with
  paths.data=         root of the shared data sets; default: EXOBENCH_DATA, as for a run
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Retrieves; wrong input ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments, usual=logging.WARNING)
    if not given or any(argument in ("-h", "--help") for argument in given):
        print(with_output_help(HELP), end="")
        return
    logging.captureWarnings(True)  # of packages about one another, which are no news to whoever retrieves
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    with failing_in_one_line(stopped="stopped."):
        _run(parse(given))


def _run(request: Request) -> None:
    from pathlib import Path

    from exobench.retrieve.read import read_spectrum

    spectrum = read_spectrum(
        request.spectrum, wavelength_unit=request.text("wavelength_unit"), depth_unit=request.text("depth_unit")
    )
    from exobench.retrieve.admission import find_setup
    from exobench.retrieve.answer import Retrieval
    from exobench.retrieve.write import older_answer, write_answer

    setup = find_setup(request.spectrum, request.text("par"))
    retrieval = Retrieval.open(
        Path(request.values["run"]),
        device=request.values["device"],
        opacities_path=request.text("opacities.path"),
        data=request.text("paths.data"),
    )
    answer = retrieval.answer(
        spectrum,
        n_draws=request.whole("n_draws"),
        seed=request.whole("seed"),
        simulated=request.flag("simulated"),
        demo=request.flag("demo"),
        star_radius_rsun=request.number("star_radius_rsun"),
        setup=setup,
        refine=request.text("refine"),
    )
    older = older_answer(request.out)
    with Progress("figures and files", None):
        text = write_answer(retrieval, answer, request.out)
    print(text)
    print(f"\nFiles: {request.out}")
    if older is not None and older != older_answer(request.out):
        print(f"They replace an older answer there: {older}.")


if __name__ == "__main__":
    main()
