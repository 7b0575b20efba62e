"""What the sensors share: one look, used on the worker and in the triggerer alike."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

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
from airflow_lakehouse.hooks.looking import Finding

if TYPE_CHECKING:
    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.hooks.looking import Look
    from airflow_lakehouse.triggers.base import FindingTrigger


class FindingSensor(BaseSensorOperator):
    """Wait for something and return what was found.

    A subclass has an attribute for each field of the look of its :attr:`trigger_class`.

    :param deferrable: wait in the triggerer and hold no worker; by default ``[operators] default_deferrable``.
    """

    trigger_class: ClassVar[type[FindingTrigger]]

    def __init__(self, *, deferrable: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable

    def look(self) -> Look:
        """Return what looks, here and in the triggerer; called after templates are rendered."""
        kind = self.trigger_class.look_class
        return kind(**{field.name: getattr(self, field.name) for field in fields(kind)})

    def cursor(self, context: Context) -> dict[str, Any] | None:  # noqa: ARG002 - subclasses read it
        """Return where an earlier look ended; None looks from the beginning.

        :param context: the task's context.
        """
        return None

    def take(self, finding: Finding) -> dict[str, Any]:
        """Return the task's result for what was found.

        :param finding: of a look that found it.
        """
        return finding.found

    def make_trigger(self, context: Context) -> FindingTrigger:
        """Return the trigger that looks for the same, from now on until the sensor's time is up.

        :param context: the task's context.
        """
        return self.trigger_class(
            **self.look().arguments(),
            cursor=self.cursor(context),
            poll_seconds=self.poke_interval,
            deadline=time.time() + self.timeout,
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once.

        :param context: the task's context.
        """
        with airflow_errors():
            finding = self.look().look(self.cursor(context))
        self.log.info("%s: %s", "Found" if finding.ready else "Not ready", finding.found)
        return PokeReturnValue(is_done=finding.ready, xcom_value=self.take(finding) if finding.ready else finding.found)

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
        return self.defer(trigger=self.make_trigger(context), method_name=self.execute_complete.__name__)

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
            return self.take(Finding(True, dict(event["found"]), event.get("cursor"), event.get("receipts") or []))
        if event["status"] == "timeout":
            # soft_fail and never_fail are Airflow's business: it turns this into a skip where they are set.
            raise AirflowSensorTimeout(f"not ready after {self.timeout:.0f} s; last found: {event['found']}")
        kind = getattr(exceptions, event["error_type"], Exception)
        error = AirflowFailException if issubclass(kind, UsageError) else AirflowException
        raise error(f"{event['error_type']}: {event['reason']}")
