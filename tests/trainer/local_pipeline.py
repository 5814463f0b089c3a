"""kfp's local runner, taught to run a pipeline whose components are commands."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@contextmanager
def local_runner(folder: Path) -> Iterator[None]:
    """Let calls of a pipeline run it here, in processes; outputs go into a folder."""
    from kfp import local
    from kfp.local.orchestrator.enhanced_dag_orchestrator import ConditionEvaluator
    from kfp.local.subprocess_task_handler import SubprocessTaskHandler

    kept = dict(vars(local.config.LocalExecutionConfig))
    # The runner wants Python components only, since it has no images; the commands of
    # ours run here as they do in theirs. Of conditions it reads, up to kfp 2.17, none
    # but those on an output that is named "Output".
    name = "validate_not_container_component"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SubprocessTaskHandler, name, lambda self, command: None)
        patch.setattr(ConditionEvaluator, "evaluate_condition", staticmethod(_holds))
        patch.chdir(ROOT)
        runner = local.SubprocessRunner(use_venv=False)
        local.init(runner, pipeline_root=str(folder))
        try:
            yield
        finally:
            local.config.LocalExecutionConfig.instance = kept.get("instance")


def _holds(condition: str, outputs: Any) -> bool:
    """Evaluate the only condition that there is: of a task's verdict."""
    asked = re.fullmatch(
        r"inputs\.parameter_values\['pipelinechannel--(\w+)-(verdict)'\] == '(\w+)'",
        condition,
    )
    assert asked, condition
    return bool(outputs.get_task_output(asked[1], asked[2]) == asked[3])
