"""What the sensors share: one look, used on the worker and in the triggerer alike."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow_lakehouse import exceptions
from airflow_lakehouse._compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    default_deferrable,
)
from airflow_lakehouse.exceptions import UsageError
from airflow_lakehouse.hooks.edge import airflow_errors

if TYPE_CHECKING:
    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.triggers.base import FindingTrigger


class FindingSensor(BaseSensorOperator):
    """Wait for something and return what was found.

    :param deferrable: wait in the triggerer and hold no worker; by default ``[operators] default_deferrable``.
    """

    def __init__(self, *, deferrable: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable

    @abstractmethod
    def make_trigger(self, deadline: float) -> FindingTrigger:
        """Return the trigger that looks for the same thing; called after templates are rendered.

        :param deadline: when to give up, in seconds since the epoch.
        """

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow passes it
        """Look once.

        :param context: the task's context.
        """
        with airflow_errors():
            ready, found = self.make_trigger(time.time()).look()
        self.log.info("%s: %s", "Found" if ready else "Not ready", found)
        return PokeReturnValue(is_done=ready, xcom_value=found)

    def execute(self, context: Context) -> Any:
        """Wait on the worker, or look once and hand over to the triggerer.

        :param context: the task's context.
        """
        if not (default_deferrable() if self.deferrable is None else self.deferrable):
            return super().execute(context)
        answer = self.poke(context)
        # Nine times out of ten it is there already; that saves the way through the triggerer.
        if answer.is_done:
            return answer.xcom_value
        trigger = self.make_trigger(time.time() + self.timeout)
        return self.defer(trigger=trigger, method_name=self.execute_complete.__name__)

    def execute_complete(
        self,
        context: Context,  # noqa: ARG002 - Airflow passes it
        event: dict[str, Any],
    ) -> dict[str, Any]:
        """Go on after the trigger fired.

        :param context: the task's context.
        :param event: what the trigger yielded.
        """
        if event["status"] == "found":
            self.log.info("Found: %s", event["found"])
            return dict(event["found"])
        if event["status"] == "timeout":
            # soft_fail and never_fail are Airflow's business: it turns this into a skip where they are set.
            raise AirflowSensorTimeout(f"not ready after {self.timeout:.0f} s; last found: {event['found']}")
        kind = getattr(exceptions, event["error_type"], Exception)
        error = AirflowFailException if issubclass(kind, UsageError) else AirflowException
        raise error(f"{event['error_type']}: {event['reason']}")
