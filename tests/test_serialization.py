"""Files of tensors: what comes back, what cannot be written, what is damaged, and that a file is whole or the old one."""

import collections
import enum
import io
import json
import math
import os
import pickle
import stat
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rp as tg

DTYPES = [tg.float32, tg.float64, tg.int8, tg.int16, tg.int32, tg.int64, tg.uint8, tg.bool]


def saved(obj):
    file = io.BytesIO()
    tg.save(obj, file)
    return file.getvalue()


def again(obj):
    return tg.load(io.BytesIO(saved(obj)))


def same(a, b):
    """Of the same kinds throughout, with the same numbers."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tg.Tensor):
        return (a.dtype, a.shape, a.requires_grad) == (b.dtype, b.shape, b.requires_grad) and np.array_equal(
            a.detach().numpy(), b.detach().numpy(), equal_nan=a.is_floating_point()
        )
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) and same(a[x], b[y]) for x, y in zip(a, b, strict=True))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return math.copysign(1, a) == math.copysign(1, b) and (a == b or (a != a and b != b))
    return a == b


# ----------------------------------------------------------------------------------------------------------- what comes back

numbers = st.one_of(st.integers(), st.integers(2**52, 2**54), st.floats(), st.floats(width=32))
keys = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers.filter(lambda x: x == x), st.text(), st.sampled_from(DTYPES)),
    lambda inner: st.tuples(inner, inner),
    max_leaves=3,
)


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 100, shape).astype(dtype)
    order = draw(st.permutations(range(len(shape))))
    made = tg.from_numpy(values).permute(*order) if order else tg.from_numpy(values)
    if dtype.kind == "f":
        made.requires_grad_(draw(st.booleans()))
        return tg.nn.Parameter(made.detach(), made.requires_grad) if draw(st.booleans()) else made
    return made


contents = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(), st.sampled_from(DTYPES), tensors()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(st.integers(0, 9), max_size=3).map(tg.Size),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict),
    ),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(contents)
def test_whatever_can_be_saved_comes_back_of_the_same_kind(obj):
    assert same(again(obj), obj)


def test_numbers_come_back_to_the_last_bit():
    for x in (0, -1, 2**53 + 1, -(2**64), 10**5000, 0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf):
        assert same(again(x), x)
    assert math.isnan(again(math.nan))
    special = tg.tensor([math.nan, math.inf, -math.inf, -0.0, 1e-45])
    assert again(special).numpy().tobytes() == special.numpy().tobytes()


def test_the_state_of_a_network_and_of_its_optimiser_goes_on_where_it_was(tmp_path):
    def made():
        net = tg.nn.Sequential(tg.nn.Linear(2, 3), tg.nn.BatchNorm1d(3), tg.nn.Linear(3, 1))
        return net, tg.optim.Adam(net.parameters(), lr=0.1)

    def step(net, optimiser):
        optimiser.zero_grad()
        (net(tg.tensor([[1.0, 2.0], [3.0, -1.0]])) ** 2).mean().backward()
        optimiser.step()

    net, optimiser = made()
    step(net, optimiser)
    tg.save({"net": net.state_dict(), "optimiser": optimiser.state_dict(), "epoch": 3}, tmp_path / "state")
    other, its_optimiser = made()
    found = tg.load(tmp_path / "state")
    assert found["epoch"] == 3 and type(found["net"]) is collections.OrderedDict
    other.load_state_dict(found["net"])
    its_optimiser.load_state_dict(found["optimiser"])
    step(net, optimiser)
    step(other, its_optimiser)
    assert same(dict(net.state_dict()), dict(other.state_dict()))


def test_numpy_reads_the_arrays_by_the_names_that_lead_to_them(tmp_path):
    net = tg.nn.Linear(2, 3)
    tg.save(
        {"net": net.state_dict(), "list": [tg.ones(2), tg.zeros(1)], "odd name/": tg.ones(1)}, tmp_path / "file.npz"
    )
    with np.load(tmp_path / "file.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["net/weight"], net.weight.detach().numpy())
        np.testing.assert_array_equal(arrays["list/0"], [1, 1])
        names = {name for name in arrays.files if name != "structure.json"}
    assert names == {"net/weight", "net/bias", "list/0", "list/1", "array_4"}


def test_the_same_object_gives_the_same_bytes():
    obj = {"w": tg.tensor([1.0, 2.0]), "n": 3}
    assert saved(obj) == saved(obj)


# ------------------------------------------------------------------------------------------------------------ shared memory


def test_a_tensor_that_is_there_twice_is_one_tensor_again():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    a, (b, c) = again([x, (x, x.detach())])
    assert a is b and a is not c and np.shares_memory(a.detach().numpy(), c.numpy())
    assert a.requires_grad and not c.requires_grad


def test_tied_weights_stay_tied():
    net = tg.nn.Sequential(tg.nn.Linear(2, 2), tg.nn.Linear(2, 2))
    net[1].weight = net[0].weight
    state = again(net.state_dict())
    state["0.weight"][0, 0] = 7
    assert state["1.weight"][0, 0].item() == 7
    data = saved(net.state_dict())
    assert sum(name.endswith("weight.npy") for name in zipfile.ZipFile(io.BytesIO(data)).namelist()) == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_views_of_one_memory_share_it_again(data):
    base = np.arange(24.0).reshape(2, 3, 4)
    bounds = st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from([1, 2, -1, -2]))

    def view():
        cut = [data.draw(bounds) for _ in range(3)]
        found = base[tuple(slice(None, None, step) if step < 0 else slice(a, b, step) for a, b, step in cut)]
        return tg.from_numpy(found.transpose(data.draw(st.permutations(range(3)))))

    views = [view() for _ in range(data.draw(st.integers(1, 4)))]
    loaded = again(views)
    assert same(loaded, views)
    for a, x in zip(loaded, views, strict=True):
        for b, y in zip(loaded, views, strict=True):
            assert np.shares_memory(a.numpy(), b.numpy()) == np.shares_memory(x.numpy(), y.numpy())
    if views[0].numel():
        views[0].fill_(-1.0)
        loaded[0].fill_(-1.0)
        assert same(loaded, views)


def test_an_expanded_tensor_takes_the_room_of_what_was_expanded():
    wide = tg.zeros(1, 3).expand(100000, 3)
    data = saved(wide)
    assert len(data) < 2000 and same(tg.load(io.BytesIO(data)), wide)


def test_a_small_part_of_a_large_tensor_takes_little_room():
    assert len(saved(tg.zeros(100000)[10:20])) < 2000


# ------------------------------------------------------------------------------------------------- what cannot be written


class Colour(enum.IntEnum):
    RED = 1


class Own(list):
    pass


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "wrong",
    [object(), {1, 2}, b"bytes", 1j, np.ones(2), np.float64(1.0), np.float32(1.0), Colour.RED, Own(), Pair(1, 2), len,
     tg.nn.ReLU(), range(3), np.dtype("complex64"), collections.defaultdict(list)],
    ids=lambda x: type(x).__name__,
)  # fmt: skip
def test_an_object_that_cannot_be_saved_is_named_with_its_place(wrong, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"the old one")
    with pytest.raises(TypeError, match=r"obj\['a'\]\[1\]\[0\] is a .*" + type(wrong).__name__):
        tg.save({"a": [1, (wrong, 2)]}, path)
    assert path.read_bytes() == b"the old one" and os.listdir(tmp_path) == ["file"]
    with pytest.raises(TypeError, match="the object is a"):
        saved(wrong)


def test_a_tensor_is_no_key():
    for key in (tg.ones(1), (1, tg.ones(1)), frozenset()):
        with pytest.raises(TypeError, match=r"a key of obj\['a'\]"):
            saved({"a": {key: 1}})


def test_a_tensor_with_a_history_is_refused():
    x = tg.tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"obj\['y'\] was computed by MulBackward0.*detach"):
        saved({"x": x, "y": x * 2})


def test_a_container_that_holds_itself_is_refused():
    a = [1]
    a.append({"a": a})
    with pytest.raises(ValueError, match=r"obj\[1\]\['a'\] contains itself"):
        saved(a)
    b = [1, 2]
    assert again([b, b]) == [b, b]


def test_too_deep_a_nesting_is_refused():
    a = []
    for _ in range(100000):
        a = [a]
    with pytest.raises(ValueError, match="too deep"):
        saved(a)
    while a:
        a = a[0]  # let it go step by step


def test_memory_that_holds_two_dtypes_is_refused():
    array = np.zeros(4, np.float32)
    with pytest.raises(RuntimeError, match=r"obj\[0\] and obj\[1\] share memory"):
        saved([tg.from_numpy(array), tg.from_numpy(array.view(np.int32))])


def test_what_is_no_file_is_refused():
    for wrong in (3, None, [1]):
        with pytest.raises(TypeError):
            tg.save(1, wrong)
        with pytest.raises(TypeError):
            tg.load(wrong)


# ------------------------------------------------------------------------------------------------------------ atomic writing


def test_the_old_file_stays_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    tg.save([1, tg.ones(3)], path)
    before = path.read_bytes()

    def broken(*_, **__):
        raise OSError("no space left on device")

    for place in (np.lib.format, os):
        with monkeypatch.context() as patched:
            patched.setattr(place, "write_array" if place is np.lib.format else "fsync", broken)
            with pytest.raises(OSError, match="no space"):
                tg.save([2, tg.ones(3)], path)
        assert path.read_bytes() == before and os.listdir(tmp_path) == ["file"]
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", broken)
        with pytest.raises(OSError, match="no space"):
            tg.save([2, tg.ones(3)], path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["file"]


def test_the_file_is_written_to_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (done.append(name), real(*args)))
    tg.save(1, tmp_path / "file")
    assert done[:2] == ["fsync", "replace"] and tg.load(tmp_path / "file") == 1


def test_permissions_and_links_are_kept(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    tg.save(1, real)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~mask
    real.chmod(0o640)
    link.symlink_to(real)
    tg.save(2, link)
    assert link.is_symlink() and tg.load(real) == 2 and stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_folder_a_device_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError):
        tg.save(1, tmp_path)
    for folder in (f"{tmp_path / 'missing'}/", ""):
        with pytest.raises(IsADirectoryError, match="names a folder"):
            tg.save(1, folder)
    with pytest.raises(OSError, match="no regular file"):
        tg.save(1, "/dev/null")
    with pytest.raises(FileNotFoundError, match="no folder"):
        tg.save(1, tmp_path / "missing" / "file")
    with pytest.raises(FileNotFoundError):
        tg.load(tmp_path / "missing")


def test_paths_of_all_kinds_and_open_files_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("file", tmp_path / "other"):
        tg.save([1], path)
        assert tg.load(path) == [1]
    with open("open", "wb") as file:
        tg.save([1, tg.ones(2)], file)
    with open("open", "rb") as file:
        assert same(tg.load(file, map_location="cpu", weights_only=False), [1, tg.ones(2)])
    with pytest.raises(RuntimeError):
        tg.load("open", map_location="cuda")


# ------------------------------------------------------------------------------------------------------------------- damage

THINGS = {"w": tg.tensor([1.0, 2.0, 3.0]), "parts": [tg.ones(2, 2)[0], (1, "text", None, 2.5)], "n": 10**20}


def test_a_byte_changed_anywhere_is_an_error_or_changes_nothing():
    views = tg.arange(6.0)
    things = {**THINGS, "views": [views[:4], views[2:]]}
    data = saved(things)
    for i in range(len(data)):
        damaged = bytearray(data)
        damaged[i] ^= 1 << i % 8
        try:
            found = tg.load(io.BytesIO(damaged))
        except RuntimeError as error:
            assert "load(): the file" in str(error)
        else:
            assert same(found, things), i


def test_a_file_that_was_cut_off_anywhere_is_an_error():
    data = saved(THINGS)
    for end in range(len(data)):
        with pytest.raises(RuntimeError, match=r"load\(\): the file"):
            tg.load(io.BytesIO(data[:end]))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans(), st.randoms(use_true_random=False))
def test_noise_is_an_error(noise, inside, random):
    data = noise
    if inside:
        whole = bytearray(saved(THINGS))
        at = random.randrange(len(whole))
        whole[at : at + len(noise)] = noise
        data = bytes(whole)
    try:
        assert same(tg.load(io.BytesIO(data)), THINGS)
    except RuntimeError as error:
        assert "load(): the file" in str(error)


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return io.BytesIO(file.getvalue())


def described(content=None, tensors=(), format="tinygrad_rp", version=1):
    return json.dumps({"format": format, "version": version, "content": content, "tensors": list(tensors)})


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def test_a_file_of_another_program_says_so(tmp_path):
    pickled = pickle.dumps({"a": 1})
    for data in (b"", b"hello", pickled):
        with pytest.raises(RuntimeError, match="damaged, cut off, or no file that save"):
            tg.load(io.BytesIO(data))
    np.savez(tmp_path / "arrays.npz", a=np.ones(2))
    with pytest.raises(RuntimeError, match=r"arrays.npz was not written by save\(\)"):
        tg.load(tmp_path / "arrays.npz")
    with pytest.raises(RuntimeError, match="written as tinygrad_rp, version 2"):
        tg.load(archive(**{"structure.json": described(version=2)}))
    with pytest.raises(RuntimeError, match="written as another"):
        tg.load(archive(**{"structure.json": described(format="another")}))


def test_no_code_runs_whatever_is_in_the_file(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    tensor = {"kind": "Tensor", "requires_grad": False, "member": "x"}
    objects = npy(np.array([Evil()], object), allow_pickle=True)
    for data in (
        io.BytesIO(pickle.dumps(Evil())),
        archive(**{"structure.json": pickle.dumps(Evil())}),
        archive(**{"structure.json": described({"tensor": 0}, [tensor]), "x.npy": objects}),
        archive(**{"structure.json": described({"tensor": 0}, [tensor]), "x.npy": pickle.dumps(Evil())}),
    ):
        with pytest.raises(RuntimeError):
            tg.load(data)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        [1], {}, {"list": [1], "tuple": [2]}, {"list": 3}, {"other": 3}, {"dict": [1]}, {"dict": [[1, 2, 3]]}, {"tensor": 9},
        {"tensor": "x"}, {"dtype": "object"}, {"dtype": "complex64"}, {"dtype": [["a", "f4"]]}, {"float": "x"}, {"int": "x"},
        {"int": 3},
        {"list": "ab"}, {"tuple": {"tensor": 0}}, {"dtype": None}, {"float": 3}, {"tensor": True},
        {"dict": [[{"list": []}, 1]]}, {"__class__": "x"}, {"Size": ["a", {"bad": 1}]},
    ],
    ids=str,
)  # fmt: skip
def test_a_structure_that_save_does_not_write_is_an_error(content):
    with pytest.raises(RuntimeError, match=r"load\(\): the file is damaged"):
        tg.load(archive(**{"structure.json": described(content)}))


@pytest.mark.parametrize(
    "tensor",
    [
        {}, {"kind": "Other"}, {"member": "y"}, {"member": 3}, {"offset": 1, "shape": [3], "strides": [1]},
        {"offset": -1, "shape": [2], "strides": [1]}, {"offset": 0, "shape": [2], "strides": [10**9]},
        {"offset": 2, "shape": [4], "strides": [-1]}, {"offset": 0, "shape": [-1], "strides": [1]}, {"offset": 0, "shape": [2]},
        {"offset": 0, "shape": [2], "strides": [1, 1]}, {"offset": 0.5, "shape": [2], "strides": [1]}, {"more": 1},
        {"offset": 0, "shape": [10**12, 0], "strides": [1, 1], "unknown": 1}, {"requires_grad": "maybe"}, {"requires_grad": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_tensor_is_never_read_beyond_its_memory(tensor):
    usual = {"kind": "Tensor", "requires_grad": False, "member": "x"}
    whole = {**usual, **tensor} if tensor else {"kind": "Tensor"}
    file = archive(**{"structure.json": described({"tensor": 0}, [whole]), "x.npy": npy(np.arange(3))})
    with pytest.raises(RuntimeError, match=r"load\(\): the file is damaged"):
        tg.load(file)


def test_a_header_that_promises_more_than_there_is_allocates_nothing():
    header = npy(np.zeros((1, 1))).replace(b"(1, 1), }", b"(99999999999, 99999999), }")
    broken = header[:8] + len(header[10 : header.index(b"\n") + 1]).to_bytes(2, "little") + header[10:]
    tensor = {"kind": "Tensor", "requires_grad": False, "member": "x"}
    with pytest.raises(RuntimeError, match="damaged"):
        tg.load(archive(**{"structure.json": described({"tensor": 0}, [tensor]), "x.npy": broken}))


def test_a_list_of_members_that_promises_more_than_there_is_allocates_nothing():
    header, file = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**14,)})
    tensor = {"kind": "Tensor", "requires_grad": False, "member": "x"}
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("structure.json", described({"tensor": 0}, [tensor]))
        made.writestr("x.npy", header.getvalue())
        info = made.getinfo("x.npy")
        info.file_size = info.compress_size = len(header.getvalue()) + 4 * 10**14
    with pytest.raises(RuntimeError, match=r"x\.npy is said to be 400000000000128 bytes long, more than there are"):
        tg.load(file)


def test_arrays_of_the_other_byte_order_are_read():
    tensor = {"kind": "Tensor", "requires_grad": True, "member": "x"}
    file = archive(**{"structure.json": described({"tensor": 0}, [tensor]), "x.npy": npy(np.arange(3.0).astype(">f8"))})
    assert same(tg.load(file), tg.tensor([0.0, 1.0, 2.0], dtype=tg.float64, requires_grad=True))
