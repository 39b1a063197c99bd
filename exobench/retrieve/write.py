"""All files of an answer."""

from __future__ import annotations

from pathlib import Path

from exobench.files import write_atomically
from exobench.opacities.grids import bin_bounds
from exobench.retrieve.answer import Answer, Retrieval
from exobench.retrieve.opacity_files import global_lines
from exobench.retrieve.table import csv_text, printed
from exobench.retrieve.taurex_file import parameter_text, spectrum_text, why_no_file

TABLE, SUMMARY, DRAWS, PARAMETERS, SPECTRUM = "posterior.csv", "summary.txt", "draws.nc", "taurex3.par", "spectrum.dat"


def older_answer(out: Path) -> str | None:
    """What a folder's answer is about, or None where there is none."""
    try:
        return (out / SUMMARY).read_text(encoding="utf-8").partition("\n")[0].strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def write_answer(retrieval: Retrieval, answer: Answer, out: Path) -> str:
    """Writes table, summary, figures, draws and the TauREx file into a folder; returns the summary."""
    from exobench.report.figures import save
    from exobench.retrieve.figures import corner_figure, spectrum_figure
    from exobench.retrieve.netcdf import write_netcdf

    out.mkdir(parents=True, exist_ok=True)
    task, name = retrieval.run.task, f"{retrieval.run.task.name}/{retrieval.run.name}"
    write_atomically(out / TABLE, csv_text(answer).encode())
    save(corner_figure(answer), out / "corner")
    save(spectrum_figure(answer, task.wavelength_um), out / "spectrum")
    write_netcdf(out / DRAWS, answer, task.wavelength_um, name)
    text = spectrum_text(answer, task.wavelength_um, *bin_bounds(task.bin_edges_um))
    write_atomically(out / SPECTRUM, text.encode())
    summary = printed(answer, name)
    reason = why_no_file(task)
    if reason is None:
        opacities = global_lines(task, retrieval.opacities_path, out)
        write_atomically(out / PARAMETERS, parameter_text(answer, task, name, opacities).encode())
    else:
        (out / PARAMETERS).unlink(missing_ok=True)  # of an older answer: it would not belong to this spectrum
        summary += f"\nNo TauREx 3 file: {reason}."
    write_atomically(out / SUMMARY, f"{summary}\n".encode())
    return summary
