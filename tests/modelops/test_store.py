"""The store: written once under a digest, whole or not at all, and what is read is what was
written; in a folder and in a bucket of a real server.
"""

import errno
import hashlib
import os
import threading

import pytest

from modelops import store
from modelops.stores import bucket as buckets
from modelops.stores import cache, trees
from modelops.stores.listing import Listing
from tests.modelops import s3_server

WEIGHTS = bytes(range(256)) * 400
FILES = {"model.safetensors": WEIGHTS, "config.json": b"{}", "adapter/adapter.safetensors": b"a"}


def make_folder(path, files=FILES):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def digest_of(files):
    lines = [f"{name}\0{hashlib.sha256(files[name]).hexdigest()}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read(path):
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


class Files:
    """The files of a store in a folder; Objects does the same in a bucket."""

    def __init__(self, root):
        self.root = root

    def write(self, key, content):
        (self.root / key).unlink(missing_ok=True)
        (self.root / key).write_bytes(content)

    def read(self, key):
        return (self.root / key).read_bytes()

    def remove(self, key):
        (self.root / key).unlink()


@pytest.fixture(params=["the same file system", "another file system", "a bucket"])
def place(request, settings, tmp_path, monkeypatch):
    """A way to the files of the store beside the store itself."""
    if request.param == "a bucket":
        return request.getfixturevalue("bucket")
    if request.param == "another file system":

        def refuse(*names):
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(trees.os, "link", refuse)
        settings.STORE = str(tmp_path / "podium")
        return Files(tmp_path)
    settings.STORE = str(tmp_path / "podium")
    return Files(tmp_path)


def other_host(settings, tmp_path):
    """Another data folder, with the same store."""
    settings.VAR = tmp_path / "other"


def test_another_host_reads_the_folder_that_was_stored(place, settings, tmp_path):
    digest = store.put(make_folder(tmp_path / "made"))
    other_host(settings, tmp_path)

    assert digest == digest_of(FILES)
    assert read(store.get(digest)) == read(store.verified(digest)) == FILES
    with store.open(digest, "config.json") as file:
        assert file.read() == b"{}"


def test_another_host_reads_the_file_that_was_stored(place, settings, tmp_path):
    make_folder(tmp_path, {"rows": WEIGHTS})
    digest = store.put(tmp_path / "rows")
    other_host(settings, tmp_path)

    assert digest == hashlib.sha256(WEIGHTS).hexdigest()
    assert store.verified(digest).read_bytes() == WEIGHTS
    with store.open(digest) as file:
        assert file.read() == WEIGHTS


def test_the_same_is_stored_once_and_counts_as_new_again(place, tmp_path):
    digest = store.put(make_folder(tmp_path / "made"))
    [(_digest, first, size)] = store.entries()
    mark = f"podium/{digest}/complete.json"
    if isinstance(place, Files):
        os.utime(place.root / mark, (first - 9000, first - 9000))
        first -= 9000

    assert store.put(make_folder(tmp_path / "made again")) == digest
    [(stored, again, _size)] = store.entries()
    assert (stored, again >= first) == (digest, True)
    assert isinstance(place, Files) <= (again > first)
    assert size == sum(map(len, FILES.values())) + len(place.read(mark))


def test_files_of_hidden_folders_are_no_part_of_it(place, tmp_path):
    made = make_folder(tmp_path / "made", FILES | {".git/HEAD": b"main"})
    assert read(store.get(store.put(made))) == FILES


def test_what_is_not_there_or_was_deleted_is_gone(place, tmp_path):
    with pytest.raises(store.Gone, match=r"no complete files 0000.*backup"):
        store.get("0" * 64)
    digest = store.put(make_folder(tmp_path / "made"))
    store.delete(digest)

    with pytest.raises(store.Gone):
        store.get(digest)
    assert list(store.entries()) == []
    store.delete(digest)  # twice is harmless


def test_what_is_incomplete_is_never_read_and_is_stored_again(place, tmp_path):
    made = make_folder(tmp_path / "made")
    digest = store.put(made)
    place.remove(f"podium/{digest}/complete.json")
    place.remove(f"podium/{digest}/data/config.json")

    with pytest.raises(store.Gone):
        store.get(digest)
    assert [entry[0] for entry in store.entries()] == [digest], "it can be collected"
    assert store.put(made) == digest
    assert read(store.get(digest)) == FILES


@pytest.mark.parametrize("what", ["changed", "gone", "added"])
def test_a_folder_whose_files_were_changed_is_refused_by_name(place, settings, tmp_path, what):
    digest = store.put(make_folder(tmp_path / "made"))
    name = "adapter/other.json" if what == "added" else "adapter/adapter.safetensors"
    key = f"podium/{digest}/data/{name}"
    place.remove(key) if what == "gone" else place.write(key, b"b")

    if settings.STORE.startswith("s3://") and what == "added":
        assert read(store.verified(digest)) == FILES, "no list names it: it does not come along"
        return
    with pytest.raises((store.Damaged, store.Gone)) as refused:
        store.verified(digest)
    assert "restore it from a backup" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_a_changed_list_of_files_is_refused(place, tmp_path):
    digest = store.put(make_folder(tmp_path / "made"))
    mark = f"podium/{digest}/complete.json"
    place.write(mark, place.read(mark).replace(b"config", b"other"))

    with pytest.raises(store.Damaged, match="list of the files"):
        store.get(digest)


def test_a_file_that_looks_like_the_list_of_a_folder_is_not_taken_for_it(place, tmp_path):
    store.put(make_folder(tmp_path / "made"))
    lines = [f"{name}\0{hashlib.sha256(FILES[name]).hexdigest()}\n" for name in sorted(FILES)]
    make_folder(tmp_path, {"forged": "".join(lines).encode()})

    with pytest.raises(store.Damaged, match="something else"):
        store.put(tmp_path / "forged")


def test_names_that_lead_out_of_the_folder_are_refused():
    listing = Listing(True, {"../../secret": (1, "0" * 64)})
    with pytest.raises(store.Damaged):
        Listing.from_json(listing.as_json(), listing.digest)


# A folder


def test_on_one_file_system_nothing_is_copied(tmp_path):
    made = make_folder(tmp_path / "made")
    digest = store.put(made)

    assert (made / "config.json").samefile(store.get(digest) / "config.json")


def test_without_a_setting_it_is_in_the_data_folder_where_rows_say(settings, tmp_path):
    digest = store.put(make_folder(tmp_path / "made"))

    assert settings.VAR / store.place(digest) == store.local(store.place(digest))
    assert store.digest_of(store.place(digest)) == digest
    assert store.digest_of("uploads/0123") is None
    assert store.local("uploads/0123") == settings.VAR / "uploads/0123"


def test_a_full_disk_is_said_without_a_path(tmp_path, monkeypatch):
    def full(*names):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(trees, "_link", full)
    with pytest.raises(store.Full, match="The disk is full") as refused:
        store.put(make_folder(tmp_path / "made"))
    assert str(tmp_path) not in str(refused.value)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_without_a_path(settings, tmp_path):
    (tmp_path / "a file").write_text("")
    settings.STORE = str(tmp_path / "a file")
    with pytest.raises(store.Unreachable, match="can't be read or written") as refused:
        store.put(make_folder(tmp_path / "made"))
    assert str(tmp_path) not in str(refused.value)


# A bucket


def test_a_large_file_goes_and_comes_in_parts(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(buckets, "PART", 5 * 2**20)
    content = os.urandom(2**20) * 12
    make_folder(tmp_path, {"large": content})
    passed = []

    digest = store.put(tmp_path / "large")
    assert store.get(digest, passed.append).read_bytes() == content
    assert (len(passed), sum(passed)) == (3, len(content))


def test_what_was_sent_before_a_break_is_not_sent_again(bucket, tmp_path, monkeypatch):
    made, sent, put = make_folder(tmp_path / "made"), [], buckets.obstore.put

    def break_off(client, key, *content, **settings):
        if key.endswith("model.safetensors"):
            raise buckets.BaseError("connection reset by peer")
        sent.append(key.rpartition("/")[2])
        return put(client, key, *content, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(buckets.obstore, "put", break_off)
        with pytest.raises(store.Unreachable):
            store.put(made)
    assert sent == ["adapter.safetensors", "config.json"]

    sent.clear()

    def count(client, key, *content, **settings):
        sent.append(key.rpartition("/")[2])
        return put(client, key, *content, **settings)

    monkeypatch.setattr(buckets.obstore, "put", count)
    digest = store.put(made)
    assert sent == ["model.safetensors", "complete.json"]
    assert read(store.get(digest)) == FILES


def test_what_came_before_a_break_is_not_fetched_again(bucket, tmp_path, monkeypatch):
    make_folder(tmp_path, {"rows": WEIGHTS})
    digest, asked, get = store.put(tmp_path / "rows"), [], buckets.obstore.get_range
    monkeypatch.setattr(buckets, "PART", 40_000)
    monkeypatch.setattr(buckets, "AT_ONCE", 1)

    def break_off(client, key, start, end):
        if start:
            raise buckets.BaseError("connection reset by peer")
        return get(client, key, start=start, end=end)

    with monkeypatch.context() as patch:
        patch.setattr(buckets.obstore, "get_range", break_off)
        with pytest.raises(store.Unreachable):
            store.get(digest)

    def count(client, key, start, end):
        asked.append((start, end))
        return get(client, key, start=start, end=end)

    monkeypatch.setattr(buckets.obstore, "get_range", count)
    assert store.get(digest).read_bytes() == WEIGHTS
    assert asked == [(40_000, 80_000), (80_000, len(WEIGHTS))]


@pytest.mark.parametrize("killed_at", ["a hole", "its end", "its end, and changed"])
def test_what_a_killed_process_has_fetched_is_gone_on_from_its_first_hole(
    bucket, tmp_path, monkeypatch, killed_at
):
    make_folder(tmp_path, {"rows": WEIGHTS})
    digest, asked, get = store.put(tmp_path / "rows"), [], buckets.obstore.get_range
    monkeypatch.setattr(buckets, "PART", 40_000)
    file = cache.root() / digest / "data"
    file.parent.mkdir(parents=True)
    with open(file, "wb") as arriving:
        arriving.truncate(len(WEIGHTS))
        arriving.write(WEIGHTS[:80_000])
        if killed_at == "a hole":  # the second and a piece of the third part, not the rest
            os.pwrite(arriving.fileno(), b"x", len(WEIGHTS) - 1)
        else:
            arriving.write(WEIGHTS[80_000:])
        if killed_at == "its end, and changed":
            os.pwrite(arriving.fileno(), b"x", 500)

    def count(client, key, start, end):
        asked.append(start)
        return get(client, key, start=start, end=end)

    monkeypatch.setattr(buckets.obstore, "get_range", count)
    assert store.get(digest).read_bytes() == WEIGHTS
    if killed_at == "its end, and changed":
        assert sorted(asked) == [0, 40_000, 80_000]
    elif killed_at == "its end":
        assert asked == []
    else:
        assert 0 < min(asked) < 80_000, "pages of the file system have no part's size"


def test_a_break_in_the_middle_leaves_what_is_in_one_piece(bucket, tmp_path, monkeypatch):
    make_folder(tmp_path, {"rows": WEIGHTS})
    digest, get = store.put(tmp_path / "rows"), buckets.obstore.get_range
    monkeypatch.setattr(buckets, "PART", 20_000)

    def break_off(client, key, start, end):
        if start == 40_000:
            raise buckets.BaseError("connection reset by peer")
        return get(client, key, start=start, end=end)

    with monkeypatch.context() as patch:
        patch.setattr(buckets.obstore, "get_range", break_off)
        with pytest.raises(store.Unreachable):
            store.get(digest)
    assert (cache.root() / digest / "data").read_bytes() == WEIGHTS[:40_000]
    assert store.get(digest).read_bytes() == WEIGHTS


def test_who_stops_waiting_leaves_what_is_in_one_piece(bucket, tmp_path, monkeypatch):
    make_folder(tmp_path, {"rows": WEIGHTS})
    digest = store.put(tmp_path / "rows")
    monkeypatch.setattr(buckets, "PART", 20_000)

    class Stopped(Exception):
        pass

    def stop(count):
        raise Stopped

    with pytest.raises(Stopped):
        store.get(digest, stop)
    assert (cache.root() / digest / "data").read_bytes() == WEIGHTS[:20_000]
    assert store.get(digest).read_bytes() == WEIGHTS


def test_a_full_disk_while_it_is_fetched_is_said(bucket, tmp_path, monkeypatch):
    digest = store.put(make_folder(tmp_path / "made"))

    def full(*about):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(buckets.os, "pwrite", full)
        with pytest.raises(store.Full, match="The disk is full"):
            store.get(digest)
    assert read(store.get(digest)) == FILES


def test_a_copy_that_was_changed_in_the_cache_is_fetched_again(bucket, tmp_path, caplog):
    digest = store.put(make_folder(tmp_path / "made"))
    (store.get(digest) / "config.json").write_bytes(b"[]")

    assert read(store.verified(digest)) == FILES
    assert "config.json is not what was stored" in caplog.text
    assert str(tmp_path) not in caplog.text


def test_the_cache_lets_go_of_what_was_used_least_recently(bucket, settings, tmp_path):
    digests = []
    for number in range(3):
        make_folder(tmp_path, {"rows": bytes([number]) * 1000})
        digests.append(store.put(tmp_path / "rows"))
    settings.STORE_CACHE = 2500
    for number, digest in enumerate([digests[0], digests[1], digests[0]]):
        store.get(digest)
        os.utime(cache.root() / f"{digest}.lock", (number, number))
    store.release()
    store.get(digests[2])

    assert cache.digests() == [digests[0], digests[2]]


def test_what_is_in_use_stays_in_the_cache(bucket, settings, tmp_path):
    make_folder(tmp_path, {"one": b"1" * 1000, "two": b"2" * 1000})
    one, two = (store.put(tmp_path / name) for name in ("one", "two"))
    settings.STORE_CACHE = 1500
    path = store.get(one)

    with pytest.raises(store.Full, match="PODIUM_STORE_CACHE"):
        store.get(two)
    assert path.read_bytes() == b"1" * 1000
    store.release()
    assert store.get(two).read_bytes() == b"2" * 1000
    assert not path.exists()


def test_threads_that_want_the_same_fetch_it_once(bucket, tmp_path, monkeypatch):
    digest = store.put(make_folder(tmp_path / "made"))
    fetched, fetch = [], buckets.Bucket.fetch
    monkeypatch.setattr(buckets.Bucket, "fetch", lambda *a: (fetched.append(1), fetch(*a)))
    together = threading.Barrier(4)

    def get():
        together.wait()
        assert read(store.get(digest)) == FILES

    threads = [threading.Thread(target=get) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [1]


def test_what_was_deleted_elsewhere_leaves_the_cache(bucket, settings, tmp_path):
    first = store.put(make_folder(tmp_path / "made"))
    second = store.put(make_folder(tmp_path / "other", {"a": b"a"}))
    for digest in (first, second):
        store.get(digest)
    store.release()
    buckets.Bucket(settings.STORE).delete(first)
    store.forget_gone()

    assert cache.digests() == [second]


def test_a_server_that_is_away_wrong_keys_and_no_bucket_are_said(
    bucket, settings, tmp_path, monkeypatch
):
    made = make_folder(tmp_path / "made")
    with monkeypatch.context() as patch:
        s3_server.use(patch, AWS_SECRET_ACCESS_KEY="wrong")
        settings.STORE += "/wrong-keys"  # a client is made once for each address
        with pytest.raises(store.Unreachable, match="refuses this host: check AWS_ACCESS_KEY_ID"):
            store.put(made)
        with pytest.raises(store.Unreachable):
            store.check()
    with monkeypatch.context() as patch:
        s3_server.use(patch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{s3_server.free_port()}")
        settings.STORE += "/away"
        with pytest.raises(store.Unreachable, match="can't be reached") as refused:
            store.put(made)
        assert "127.0.0.1" not in str(refused.value)
        with pytest.raises(store.Unreachable):
            store.check()
    settings.STORE = "s3://no-such-bucket/podium"
    with pytest.raises(store.Unreachable, match="no such bucket"):
        store.put(made)
    with pytest.raises(store.Unreachable, match="no such bucket"):
        store.check()


@pytest.mark.parametrize("address", ["", "s3.example:9000"])
def test_an_endpoint_that_is_no_address_is_said(settings, tmp_path, monkeypatch, address):
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    settings.STORE = "s3://tests/no-address"
    with pytest.raises(store.Unreachable, match="AWS_ENDPOINT_URL is no address"):
        store.put(make_folder(tmp_path / "made"))


def test_a_full_server_is_said(bucket, tmp_path, monkeypatch):
    def full(*about, **settings):
        raise buckets.BaseError("Status { status: 507, body: <secret> }")

    monkeypatch.setattr(buckets.obstore, "put", full)
    with pytest.raises(store.Full, match="The store is full") as refused:
        store.put(make_folder(tmp_path / "made"))
    assert "secret" not in str(refused.value)


def test_collecting_sees_nothing_else_in_the_bucket(bucket, tmp_path):
    digest = store.put(make_folder(tmp_path / "made"))
    bucket.write("podium/notes/of-somebody", b"x")
    assert [entry[0] for entry in store.entries()] == [digest]


# A copy elsewhere


@pytest.mark.parametrize("what", ["a folder", "a file"])
def test_a_copy_may_be_written_to_and_what_is_stored_stays(place, tmp_path, what):
    made = make_folder(tmp_path / "made")
    digest = store.put(made if what == "a folder" else made / "config.json")
    copy = tmp_path / "new" / "copy"
    store.copy_to(digest, copy)

    file = copy / "config.json" if what == "a folder" else copy
    file.write_bytes(b"[]")
    assert store.verified(digest).is_dir() == (what == "a folder")
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_a_copy_that_the_disk_has_no_room_for_leaves_nothing(place, tmp_path, monkeypatch):
    digest, written = store.put(make_folder(tmp_path / "made")), []

    def full(file, to, watch):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device", str(to))
        written.append(to.write_bytes(b"half"))

    monkeypatch.setattr(trees, "_copy_file", full)
    with pytest.raises(store.Full, match="The disk is full"):
        store.copy_to(digest, tmp_path / "new" / "copy")
    assert list((tmp_path / "new").iterdir()) == []


def test_what_was_changed_in_the_store_is_not_copied(place, tmp_path):
    digest = store.put(make_folder(tmp_path / "made"))
    place.write(f"podium/{digest}/data/config.json", b"[]")
    with pytest.raises(store.Damaged):
        store.copy_to(digest, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
