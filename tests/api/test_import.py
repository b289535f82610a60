"""Importing the API costs little, and what it exports is what is promised."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import disdat
from disdat import api, common, errors

HEAVY = {"luigi", "pandas", "pyarrow", "boto3", "obstore", "dask", "docker", "sqlalchemy", "numpy"}
LIMIT_US = 60_000

FUNCTIONS = {
    "init": "()",
    "current_context": "()",
    "ls_contexts": "()",
    "context": "(name)",
    "delete_context": "(name, remote=False, force=False)",
    "switch": "(name)",
    "set_aws_profile": "(profile)",
    "search": "(local_context, human_name=None, processing_name=None, tags=None, is_committed=None,"
    " find_intermediates=False, find_roots=False, before=None, after=None, *, as_of=None)",
    "get": "(local_context, bundle_name, uuid=None, tags=None, *, as_of=None)",
    "rm": "(local_context, bundle_name=None, uuid=None, tags=None, rm_all=False, rm_old_only=False, *, force=False)",
    "diff": "(local_context, old, new=None, *, key=(), rtol=0.0, atol=0.0, limit=20)",
    "add": "(local_context, bundle_name, path, tags=None)",
    "cat": "(local_context, bundle_name, *, as_of=None)",
    "commit": "(local_context, bundle_name, tags=None, uuid=None)",
    "tag": "(local_context, bundle_name, tags, uuid=None)",
    "untag": "(local_context, bundle_name, keys, uuid=None)",
    "status": "(local_context)",
    "lineage": "(local_context, uuid, max_depth=None, *, as_of=None, down=False, format=None)",
    "plan": "(local_context, transform, params=None, *, output_bundle='-', force=False, force_all=False, "
    "rerun=None, recompute=False)",
    "why": "(local_context, what, params=None)",
    "log": "(local_context, ref=None, *, uuid=None, kinds=(), actor=None, since=None, until=None, as_of=None)",
    "checkout": "(local_context, ref, directory=None, paths=(), *, link=False, force=False, dry_run=False)",
    "rename": "(local_context, ref, new_name, *, rename_all=False)",
    "copy_bundles": "(local_context, refs, to, *, copy_all=False)",
    "move_bundles": "(local_context, refs, to, *, move_all=False)",
    "fork_context": "(local_context, new_name)",
    "du": "(local_context, names=(), *, versions=False)",
    "gc": "(apply=False, purge=False, *, retention=None, grace=None)",
    "remote": "(local_context, remote_context, remote_url)",
    "push": "(local_context, bundle_name=None, tags=None, uuid=None, delocalize=False, *, inputs=False)",
    "pull": "(local_context, bundle_name=None, uuid=None, localize=False)",
    "fetch": "(local_context)",
    "clone": "(remote_url, name=None)",
    "localize": "(local_context, bundle_name=None, uuid=None, tags=None)",
    "delocalize": "(local_context, bundle_name=None, uuid=None, tags=None)",
    "gc_remote": "(local_context, apply=False, *, retention=None, grace=None)",
    "repair_remote": "(local_context, report)",
    "share": "(local_context, ref, *, expires=None)",
    "unbind": "(local_context)",
    "verify_remote": "(local_context, ref=None, *, sample=None)",
    "rmr": "(local_context, refs, tags=None)",
    "undo": "(local_context, change=None, *, force=False, dry_run=False)",
    "apply": "(local_context, transform, output_bundle='-', input_tags=None, output_tags=None, force=False,"
    " force_all=False, params=None, output_bundle_uuid=None, central_scheduler=False, workers=1,"
    " incremental_push=False, incremental_pull=False, *, executor=None, scheduler=None, rerun=None, timeout=None,"
    " recompute=False)",
}
TYPES = {"Bundle", "Delocalized", "FetchResult", "Localized", "PullResult", "PushResult"}
METHODS = {
    "__init__": "(self, local_context, name=None, data=None, processing_name=None, owner=None, tags=None, params=None,"
    " dependencies=None, code_method=None, vc_info=None, start_time=0, stop_time=0)",
    "add_tags": "(self, tags)",
    "add_params": "(self, params)",
    "add_dependencies": "(self, bundles, arg_names=None)",
    "add_code_ref": "(self, code_ref)",
    "add_git_info": "(self, repo, commit, branch)",
    "add_timing": "(self, start_time, stop_time)",
    "add_data": "(self, data)",
    "get_file": "(self, filename)",
    "get_directory": "(self, dirname)",
    "get_remote_file": "(self, filename)",
    "get_remote_directory": "(self, dirname)",
    "open": "(self, force_uuid=None)",
    "close": "(self)",
    "abandon": "(self)",
    "cat": "(self)",
    "rm": "(self, *, force=False)",
    "commit": "(self)",
    "push": "(self, delocalize=False)",
    "pull": "(self, localize=False)",
    "localize": "(self, path=None)",
    "delocalize": "(self, path=None)",
    "rmr": "(self)",
}
PROPERTIES = {
    "closed": False,
    "data": False,
    "name": True,
    "processing_name": True,
    "owner": False,
    "uuid": False,
    "creation_date": False,
    "local_dir": False,
    "tags": False,
    "params": False,
    "dependencies": False,
    "code_ref": False,
    "timing": False,
    "git_info": False,
    "is_presentable": False,
    "remote_dir": False,
}
"""Name -> whether it can be set."""


def shape(function):
    """The signature without its types."""
    signature = inspect.signature(function)
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def test_the_functions_keep_disdats_names_arguments_order_and_defaults():
    found = {name: shape(getattr(api, name)) for name in api.__all__ if name not in TYPES}
    assert found == FUNCTIONS


def test_the_bundle_keeps_disdats_methods_and_properties():
    public = {name for name in vars(api.Bundle) if not name.startswith("_")}
    assert public == METHODS.keys() - {"__init__"} | PROPERTIES.keys()
    assert {name: shape(getattr(api.Bundle, name)) for name in METHODS} == METHODS
    assert {name: getattr(api.Bundle, name).fset is not None for name in PROPERTIES} == PROPERTIES


def test_importing_the_api_imports_nothing_heavy():
    report = "import json, sys, disdat.api; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", report], check=True, capture_output=True, text=True)
    assert {name.split(".")[0] for name in json.loads(done.stdout)} & HEAVY == set()


@pytest.mark.slow
def test_luigi_is_loaded_by_apply_only(home):
    program = (
        "import sys; from disdat import api; api.context('ctx'); api.Bundle('ctx', 'data', 1).commit();"
        "api.search('ctx'); api.cat('ctx', 'data'); api.rm('ctx', 'data', force=True);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", f"import json; {program}"], check=True, capture_output=True, text=True)
    assert {name.split(".")[0] for name in json.loads(done.stdout)} & {"luigi", "pandas", "pyarrow", "boto3"} == set()


@pytest.mark.slow
def test_importing_the_api_is_quick():
    """In processor time; once is enough, since other processes can only make it slower."""
    assert any(import_time_us() < LIMIT_US for _ in range(20))


def import_time_us():
    timed = "import time; t = time.process_time(); import disdat.api; print(round((time.process_time() - t) * 1e6))"
    return int(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout)


def test_disdats_errors_are_where_its_users_import_them_from():
    assert common.ApplyError is errors.ApplyError
    assert common.BadLinkError is errors.BadLinkError
    assert common.CatNoBundleError is errors.BundleNotFound


def test_the_package_exports_exactly_what_is_public():
    assert sorted(disdat.__all__) == sorted(["Pickled", "__version__", "api", "common", "errors", "pipe", "text"])


@pytest.mark.parametrize("name", disdat.__all__)
def test_every_public_name_is_there_without_an_import_of_its_own(name):
    program = f"import disdat; disdat.{name}; assert {name!r} in dir(disdat)"
    subprocess.run([sys.executable, "-c", program], check=True)
