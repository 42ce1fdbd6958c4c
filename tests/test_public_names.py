"""The front door: what `import genocontrast` offers, and how little it loads."""

import inspect
import json
import subprocess
import sys

import pytest

import genocontrast as gct


def in_a_process_of_its_own(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def test_the_import_is_quick_and_loads_nothing_heavy():
    seconds, loaded = in_a_process_of_its_own(
        "import json, sys, time; begun = time.perf_counter(); import genocontrast; "
        "seconds = time.perf_counter() - begun; genocontrast.__dir__(); print(json.dumps([seconds, [*sys.modules]]))"
    )
    assert seconds < 1
    assert not {"torch", "lightning", "pandas", "numba", "matplotlib"} & set(loaded)


def test_genomes_and_decoys_need_no_torch():
    names = in_a_process_of_its_own(
        "import json, sys, genocontrast as gct; gct.Genome, gct.Signal, gct.match_negatives, gct.load_data, "
        "gct.KmerEmbedding, gct.simulate; print(json.dumps([*sys.modules]))"
    )
    assert "torch" not in names
    assert "genocontrast.negatives.data" in names


def test_completion_offers_the_public_names_and_no_others():
    assert dir(gct) == sorted(gct.__all__)
    assert not [name for name in dir(gct) if name.startswith("_") and name != "__version__"]


@pytest.mark.parametrize("name", sorted(set(gct.__all__) - {"__version__"}))
def test_each_public_name_is_there_and_documented(name):
    found = getattr(gct, name)
    assert found.__name__ == name
    assert len(inspect.getdoc(found) or "") > 40
    if inspect.isclass(found):
        public = {key: value for key, value in vars(found).items() if not key.startswith("_")}
        documented = {key: value for key, value in public.items() if callable(value) or isinstance(value, property)}
        assert [key for key, value in documented.items() if not inspect.getdoc(value)] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'genom'"):
        _ = gct.genom
