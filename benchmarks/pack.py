"""`cxr pack` beside a bare loop that decodes, shrinks and encodes the same files on the same cores, and does no more.

    python benchmarks/pack.py --images 400 --repeats 3

Films are drawn, enlarged and given a detector's grain: PNG of 1024 and 2048 px, JPEG of 2544 x 3056 as in MIMIC-CXR-JPG
(1.5 MB each), and uncompressed 16-bit DICOM of that size as in MIMIC-CXR. A few files of each kind are read over and
over, from the page cache; each row of the table has its own report. `cxr pack` is the whole verb in a process of its
own, from its start to its end, with texts, conversations, looks, digests, tars and index; a pack of a few images tells
what its start takes, so that the cost of each further image is known, which is what counts in an archive. The bare
loops are processes that have imported all they need and wait for a sign, so their start costs nothing: once with the
decoder of `cxr pack`; once more so, told to keep the memory that they free, as workers of `cxr pack` do; and once with
Pillow as anybody would write it (PNG and JPEG alone). Ways take turns, round by round. Where other work goes on beside
them, processor time says more than the clock; that of a pack is of all processes it started, whoever their parent is.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

SIZE = 512
FEW = 8
"""Images of a pack that does little but start."""

ARCHIVE = 377_110
"""Images of MIMIC-CXR."""

KEPT = {"MALLOC_TRIM_THRESHOLD_": str(512 << 20), "MALLOC_MMAP_THRESHOLD_": str(512 << 20)}
"""Has glibc keep what is freed."""

_CHILD_SUBREAPER = 36
"""Of Linux's prctl: who loses its parent becomes a child of this process, which then learns its processor time."""

KINDS = {
    "png-1024": (1024, 1024),
    "png-2048": (2048, 2048),
    "jpeg": (2544, 3056),
    "dicom": (2544, 3056),
}
"""Columns and rows."""


def film(number: int, size: tuple[int, int]) -> np.ndarray:
    """Draws a film, enlarges it, and adds grain."""
    from cxr_lightning.phantoms.phantom import draw_study

    drawn = Image.fromarray(draw_study(7, number, 512).image_HW).resize(size, Image.Resampling.BICUBIC)
    grain = np.random.default_rng(number).normal(0, 1.5, size[::-1])
    return np.clip(np.asarray(drawn) + grain, 0, 255)


def write_dicom(path: Path, levels: np.ndarray) -> None:
    """Writes a film of 12 bits, uncompressed, a negative with a window."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.Rows, data.Columns, data.SamplesPerPixel = *levels.shape, 1
    data.PhotometricInterpretation, data.PixelRepresentation = "MONOCHROME1", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.WindowCenter, data.WindowWidth = 2048, 4096
    data.PixelData = (4095 - levels * 16).astype("<u2").tobytes()
    data.save_as(path, enforce_file_format=True)


def write_files(folder: Path, kind: str, count: int, size: tuple[int, int]) -> list[Path]:
    """Writes so many films of a kind."""
    paths = []
    for number in range(count):
        levels, path = film(number, size), folder / f"{kind}-{number}.{kind[:3]}"
        if kind == "dicom":
            write_dicom(path, levels)
        else:
            Image.fromarray(levels.astype(np.uint8)).save(path, kind[:4].strip("-"), quality=95)
        paths.append(path)
    return paths


def write_table(folder: Path, kind: str, paths: list[Path], images: int) -> None:
    """Writes a table of as many studies as images, each with a report of its own."""
    from cxr_lightning.phantoms.phantom import draw_study

    reports = [draw_study(7, number, 64).report.text for number in range(min(images, 200))]
    rows = (
        {"study_id": f"s{n}", "patient_id": f"p{n // 2}", "image": paths[n % len(paths)].name, "view": "PA",
         "report": f"INDICATION: Cough for {n} days.\n{reports[n % len(reports)]}"}
        for n in range(images)
    )  # fmt: skip
    (folder / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def shrink_alone(paths: list[str], images: int, way: str) -> None:
    """Is a bare loop: waits for a line, goes through its share of the files, and tells its processor time."""
    from cxr_lightning.shards.images import encode, fitted, load_gray

    def bare(path: Path) -> bytes:
        if way == "pillow":
            with Image.open(path) as image:
                gray = image.convert("L")
            gray.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS, reducing_gap=None)
            return encode(np.asarray(gray), "jpg")
        return encode(fitted(load_gray(path, at_least=2 * SIZE), SIZE, "keep"), "jpg")

    files = [Path(path) for path in paths]
    bare(files[0])  # imports what is imported late
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.process_time()
    for number in range(images):
        bare(files[number % len(files)])
    print(time.process_time() - start, flush=True)


def time_bare(paths: list[Path], images: int, workers: int, way: str) -> tuple[float, float]:
    """Returns seconds and processor seconds of the bare loops."""
    shares = [images // workers + (number < images % workers) for number in range(workers)]
    command = [sys.executable, __file__, "--alone", way.removesuffix("_kept")]
    where = {**os.environ, **(KEPT if way.endswith("_kept") else {})}
    loops = [
        subprocess.Popen(
            [*command, "--images", str(share), *map(str, paths)], stdin=-1, stdout=-1, text=True, env=where
        )
        for share in shares
    ]
    for loop in loops:
        said = loop.stdout.readline() if loop.stdout else ""
        assert said == "ready\n", said
    start = time.perf_counter()
    for loop in loops:
        if loop.stdin:
            loop.stdin.write("go\n")
            loop.stdin.flush()
    spent = [float(loop.communicate()[0]) for loop in loops]
    return time.perf_counter() - start, sum(spent)


def time_pack(folder: Path, kind: str, workers: int) -> tuple[float, float]:
    """Returns seconds and processor seconds of the whole verb."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        command = [sys.executable, "-m", "cxr_lightning", "pack", "table", str(folder / f"{kind}.jsonl")]
        options = ["--out", f"{name}/shards", "--size", str(SIZE), "--workers", str(workers), "--duplicates", "keep"]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run([*command, *options], capture_output=True, text=True)
        seconds = time.perf_counter() - start
        with suppress(ChildProcessError):  # there are none left
            while True:
                os.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(folder: Path, kind: str, chosen: argparse.Namespace) -> dict[str, float]:
    """Measures one kind of file, round by round, and returns medians."""
    size = (KINDS[kind][0] // chosen.scale, KINDS[kind][1] // chosen.scale)
    paths = write_files(folder, kind, chosen.files, size)
    write_table(folder, kind, paths, chosen.images)
    write_table(folder, f"{kind}-few", paths, FEW)
    ways = {
        "few": lambda: time_pack(folder, f"{kind}-few", chosen.workers),
        "pack": lambda: time_pack(folder, kind, chosen.workers),
    }
    for way in ("ours", "ours_kept") if kind == "dicom" else ("ours", "ours_kept", "pillow"):
        ways[way] = lambda way=way: time_bare(paths, chosen.images, chosen.workers, way)
    rounds = [{name: way() for name, way in ways.items()} for _ in range(chosen.repeats)]
    found: dict[str, float] = {"mb": paths[0].stat().st_size / 1e6}
    for name in ways:
        found[f"{name}_s"], found[f"{name}_cpu_s"] = (median(each[name][n] for each in rounds) for n in (0, 1))
        found[f"{name}_least_s"] = min(each[name][0] for each in rounds)
    share = chosen.images / (chosen.images - FEW)
    for name in list(ways)[2:]:
        found[f"of_{name}"] = median(each[name][0] / each["pack"][0] for each in rounds)
        found[f"of_{name}_cpu"] = median(each[name][1] / each["pack"][1] for each in rounds)
        # What each further image costs: starting is paid once, and an archive has hundreds of thousands.
        found[f"of_{name}_further"] = median(
            each[name][1] / (share * (each["pack"][1] - each["few"][1])) for each in rounds
        )
    found["further_cpu_s"] = median(each["pack"][1] - each["few"][1] for each in rounds) / (chosen.images - FEW)
    return found


def told(found: dict[str, dict[str, float]], chosen: argparse.Namespace) -> Table:
    """Lays the figures out."""
    table = Table(title=f"{chosen.images} images of each kind, {chosen.workers} processes, {chosen.repeats} rounds")
    for heading in (
        "files",
        "cxr pack, images/s",
        "bare, images/s",
        "rate / bare",
        "by CPU time",
        "the same, a further image",
        "the same, bare keeps memory",
        "Pillow, images/s",
        "rate / Pillow",
        "CPU ms a further image",
        f"hours for {ARCHIVE:,}: 2 cores, 64",
    ):
        table.add_column(heading)
    n = chosen.images
    for kind, each in found.items():
        hours = each["further_cpu_s"] * ARCHIVE / 3600
        pillow = ("-", "-")
        if "pillow_s" in each:
            pillow = (f"{n / each['pillow_s']:.1f}", f"{each['of_pillow']:.2f}")
        table.add_row(
            f"{kind}, {each['mb']:.1f} MB",
            f"{n / each['pack_s']:.1f} (at most {n / each['pack_least_s']:.1f})",
            f"{n / each['ours_s']:.1f} (at most {n / each['ours_least_s']:.1f})",
            f"{each['of_ours']:.2f}",
            f"{each['of_ours_cpu']:.2f}",
            f"{each['of_ours_further']:.2f}",
            f"{each['of_ours_kept_further']:.2f}",
            *pillow,
            f"{each['further_cpu_s'] * 1e3:.1f}",
            f"{hours / 2:.1f}, {hours / 64:.2f}",
        )
    return table


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, help="of each kind")
    parser.add_argument("--files", type=int, default=12, help="different ones of each kind")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=int, default=1, help="films so many times smaller, to try the script")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--alone", choices=("ours", "pillow"), help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        shrink_alone(chosen.paths, chosen.images, chosen.alone)
        return
    reaping = ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    assert reaping == 0, "processor time of all processes of a pack is known on Linux alone"
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in chosen.kinds:
            found[kind] = measure(Path(name), kind, chosen)
    Console(width=180).print(told(found, chosen))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
