"""Mutate body files and load them: a body or a clear line, never a traceback, a crash, a call or much memory.

    python tools/fuzz_bodies.py --cases 10000 [--first 0] [--keep FOLDER]

Small files of every kind and format (npz, pickles with chumpy's and scipy's objects, converted) are damaged by bytes,
header by header and opcode by opcode, and some are bombs. All in one process with a limit on its memory; an audit hook
notes whatever would run or write. Files that broke something are kept; the exit status is 1 if there are any. The same
number always makes the same file.
"""

from __future__ import annotations

import argparse
import io
import pickle
import random
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from monocap.bodies import load_body
from monocap.bodies.store import save_converted
from monocap.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "bodies"))
from official import JOINTS, landmarks, official, save_npz, save_pkl  # pyright: ignore

MEMORY = 2 << 30  # beyond what the process has at the start
VERTICES = 12
_NOTED = ("os.system", "os.exec", "os.spawn", "os.posix_spawn", "subprocess.Popen", "socket.", "ctypes.", "shutil.")
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


class Watch:
    """An audit hook that notes what a body file must never cause; a hook cannot be removed, hence the switch."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
        if writes or event.startswith(_NOTED) or event in ("exec", "os.remove", "os.rename", "os.mkdir"):
            self.seen.append(f"{event} {args}"[:200])


# ------------------------------------------------------------------ seeds
def seeds(folder: Path, seed: int = 0) -> list[tuple[str, bytes]]:
    """Sound files to start from: name and content."""
    rng = np.random.default_rng(seed)
    found: list[tuple[str, bytes]] = []
    for kind in JOINTS:
        arrays = official(kind, rng, VERTICES, columns=20 if kind in ("smplx", "flame") else 10)
        arrays |= landmarks(rng) if kind == "flame" else {}
        single = {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in arrays.items()}
        plain = save_npz(folder / f"{kind}.npz", single)
        packed = folder / f"{kind}_packed.npz"
        np.savez_compressed(packed, **single)  # type: ignore[arg-type]
        converted = folder / f"{kind}_converted.npz"
        save_converted(load_body(plain), converted)
        pickles = [
            save_pkl(folder / f"{kind}_{protocol}.pkl", single, chumpy=True, protocol=protocol)
            for protocol in (0, 2, 4)
        ]
        files = [plain, packed, converted, *pickles]
        found += [(file.name, file.read_bytes()) for file in files]
    return found


# ------------------------------------------------------------------ mutations of bytes
def _flip(data: bytearray, dice: random.Random) -> bytearray:
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        data[_spot(data, dice)] = dice.randrange(256)
    return data


def _spot(data: bytearray, dice: random.Random) -> int:
    """A place, mostly where structure is: the beginning and the end."""
    near = dice.choice((64, 512, 4096, len(data)))
    place = dice.randrange(max(1, min(near, len(data))))
    return place if dice.random() < 0.5 else len(data) - 1 - place


def _number(data: bytearray, dice: random.Random) -> bytearray:
    width = dice.choice((1, 2, 4, 8))
    place = _spot(data, dice)
    value = dice.choice(_EXTREMES) & ((1 << 8 * width) - 1)
    data[place : place + width] = value.to_bytes(width, "little")
    return data


def _cut(data: bytearray, dice: random.Random) -> bytearray:
    begin = _spot(data, dice)
    return data[:begin] if dice.random() < 0.5 else data[:begin] + data[begin + dice.choice((1, 4, 100, 4000)) :]


def _repeat(data: bytearray, dice: random.Random) -> bytearray:
    begin, size = _spot(data, dice), dice.choice((1, 8, 200, 5000))
    piece = data[begin : begin + size]
    place = _spot(data, dice)
    return data[:place] + piece * dice.choice((1, 2, 20)) + data[place:]


# ------------------------------------------------------------------ mutations of what is inside
_DTYPES = ("|O", "<f2", "<f8", ">f4", "<i8", "|u1", "<U9999999", "|S3", "<c16", "<M8[s]", "|V7", "[('a','O')]", "zz")


def _member(data: bytearray, dice: random.Random) -> bytearray:
    """One array of an archive with another header, content or packing; checksums are right again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = dice.choice(list(members))
    content = members[name]
    size = struct.unpack("<H", content[8:10])[0]
    header, body = content[10 : 10 + size].decode("latin1"), bytearray(content[10 + size :])
    what = dice.randrange(6)
    if what == 0:
        old = header[header.index("(") : header.index(")") + 1]
        dims = [dice.choice((0, 1, 7, 55, 10**6, 2**31, 2**63, 10**30, -1)) for _ in range(dice.randrange(4))]
        header = header.replace(old, str(tuple(dims)))
    elif what == 1:
        header = header.replace("'<f4'", repr(dice.choice(_DTYPES))).replace("'<i8'", repr(dice.choice(_DTYPES)))
    elif what == 2:
        header = header.replace("False", dice.choice(("True", "None", "2**99", "[" * 500)))
    elif what == 3 and len(body) >= 4:
        place = dice.randrange(len(body) - 3)
        extreme = dice.choice((float("nan"), float("inf"), -1.0, 1e30, 0.0))
        body[place - place % 4 : place - place % 4 + 4] = struct.pack("<f", extreme)
    elif what == 4 and len(body) >= 8:
        place = dice.randrange(len(body) - 7) // 8 * 8
        body[place : place + 8] = (dice.choice(_EXTREMES)).to_bytes(8, "little")
    else:
        body = body[: dice.randrange(len(body) + 1)] + bytes(dice.choice((0, 1, 1000)))
    raw = header.encode("latin1")
    members[name] = content[:8] + struct.pack("<H", len(raw)) + raw + bytes(body)
    if dice.random() < 0.1:
        del members[dice.choice(list(members))]
    packing = dice.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return bytearray(out.getvalue())


_OPCODES = b"().0129RbcdeghijlopqrstuNKMJIGUX}]\x80\x81\x85\x86\x87\x93\x94"
_CALLS = (b"os\nsystem", b"builtins\neval", b"builtins\nexec", b"__builtin__\ngetattr", b"nt\nsystem", b"numpy\nload")
_CALLS = (
    *_CALLS,
    b"chumpy.ch\nCh.__init__",
    b"builtins\ntuple",
    b"subprocess\nPopen",
    b"numpy.core.multiarray\nscalar",
)


def _opcodes(data: bytearray, dice: random.Random) -> bytearray:
    """A pickle with other opcodes and names in it."""
    what = dice.randrange(4)
    if what == 0:
        place = data.find(b"c", dice.randrange(max(1, len(data) // 2)))
        return data[:place] + b"c" + dice.choice(_CALLS) + b"\nS'true'\n\x85R0" + data[place:]
    if what == 1:
        place = _spot(data, dice)
        inserted = bytes(dice.choice(_OPCODES) for _ in range(dice.randrange(1, 6)))
        return data[:place] + inserted + data[place:]
    if what == 2:
        return bytearray(data.replace(dice.choice((b"chumpy", b"scipy", b"numpy", b"Ch", b"_reconstruct")), b"os", 1))
    names = (b"v_template", b"shapedirs", b"J_regressor", b"weights", b"indptr", b"idxs", b"x", b"data", b"_shape")
    return bytearray(data.replace(dice.choice(names), dice.choice(names), dice.choice((1, -1))))


def bombs(folder: Path) -> list[tuple[str, bytes]]:
    """Files that ask for far more than they are."""
    nested = b"(" * 200_000 + b"l" * 200_000 + b"."
    shared = (
        b"\x80\x02]q\x00"
        + b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(60))
        + b"."
    )
    lists = pickle.dumps({"v_template": [[0.0] * 3] * 5}, 2)[:-1] + b"h\x00" * 1000 + b"."
    out = io.BytesIO()
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10475, 3, 486), }".ljust(117) + b"\n"
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("posedirs.npy", "w", force_zip64=True) as member,
    ):
        member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        for _ in range(200):
            member.write(bytes(1 << 20))
    tuples = b"}K\x01" + b"\x85" * 300_000 + b"K\x01s."
    several = {
        "nested.pkl": nested,
        "shared.pkl": shared,
        "lists.pkl": lists,
        "zeros.npz": out.getvalue(),
        "tuples.pkl": tuples,
    }
    return list(several.items())


def mutated(files: list[tuple[str, bytes]], explosive: list[tuple[str, bytes]], number: int) -> tuple[str, bytes]:
    """The file with this number."""
    dice = random.Random(number)
    if number % 500 == 499:
        return explosive[number // 500 % len(explosive)]
    name, content = dice.choice(files)
    data = bytearray(content)
    inner: Callable[[bytearray, random.Random], bytearray] = _member if name.endswith(".npz") else _opcodes
    for _ in range(dice.choice((1, 1, 2, 3))):
        change = dice.choice((_flip, _number, _cut, _repeat, inner, inner, inner))
        try:
            data = change(data, dice)
        except Exception:  # what is damaged already may not be taken apart any more
            data = _flip(data, dice)
        if not data:
            data = bytearray(b"P")
    return name, bytes(data)


def check(path: Path, watch: Watch) -> str:
    """Load one file: what came of it; a text that begins with FAILED if it should not have."""
    watch.seen.clear()
    watch.on = True
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")
            body = load_body(path)
            out = body(betas=np.ones(min(3, body.num_betas)), transl=np.ones(3))
            names = body.keypoint_names()
            if names:
                body.keypoints(names)
            outcome = "loaded" if out.vertices.shape == body.v_template.shape else "FAILED shape"
    except InputError as error:
        outcome = "refused" if "\n" not in str(error) else f"FAILED many lines: {error}"
    except MemoryError:
        outcome = "FAILED memory"
    except Exception as error:
        outcome = f"FAILED {type(error).__name__}: {error}"
    finally:
        watch.on = False
    return f"FAILED ran {watch.seen[0]}" if watch.seen else outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument(
        "--keep", type=Path, default=Path("out/fuzz_bodies"), help="folder for files that broke something"
    )
    options = parser.parse_args()
    begun, counts, watch = time.perf_counter(), Counter[str](), Watch()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files, explosive = seeds(folder), bombs(folder)
        sound: dict[str, str] = {}
        for _ in range(2):  # the first time modules are imported, which runs code
            sound = {name: check(folder / name, watch) for name, _ in files}
        assert set(sound.values()) == {"loaded"}, sound
        limit = _limit_memory()
        for number in range(options.first, options.first + options.cases):
            name, data = mutated(files, explosive, number)
            path = folder / f"case{Path(name).suffix}"
            path.write_bytes(data)
            outcome = check(path, watch)
            counts[outcome if outcome in ("loaded", "refused") else "failed"] += 1
            if outcome.startswith("FAILED"):
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{number}_{name}").write_bytes(data)
                print(f"{number} {name}: {outcome}"[:300])
    print(f"{dict(counts)} in {time.perf_counter() - begun:.0f} s ({time.process_time():.0f} s of CPU){limit}")
    return 1 if counts["failed"] else 0


def _limit_memory() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return ""
    with open("/proc/self/statm") as handle:
        used = int(handle.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f", with {MEMORY >> 30} GB of memory beyond the first {peak >> 10} MB"


if __name__ == "__main__":
    sys.exit(main())
