"""``@task.textract``: a function that returns documents, which Textract then reads.

::

    @task.textract(features=["TABLES"])
    def letters():
        return ["s3://bucket/letters/a.pdf", {"uri": "s3://bucket/letters/b.pdf", "etag": "..."}]
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_lakehouse.decorators.base import DecoratedOperator, task_decorator_factory
from airflow_lakehouse.operators.textract import TextractOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.decorators.base import TaskDecorator


class TextractDecoratedOperator(DecoratedOperator, TextractOperator):
    """Call a function, and read the documents it returns."""

    custom_operator_name = "@task.textract"
    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *TextractOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **TextractOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Sequence[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, **kwargs)

    def execute(self, context: Context) -> Any:
        """Call the function, and read what it names.

        :param context: the task's context.
        """
        self.documents = self.python_callable(*self.op_args, **self._arguments(context))
        return TextractOperator.execute(self, context)

    def _arguments(self, context: Context) -> dict[str, Any]:
        """Return what the function is given by name: what the DAG gives, and what it asks of the context."""
        given = {**context, **self.op_kwargs}
        parameters = inspect.signature(self.python_callable).parameters.values()
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            return given
        by_position = [parameter.name for parameter in parameters][: len(self.op_args)]
        return {
            parameter.name: given[parameter.name]
            for parameter in parameters
            if parameter.name in given and parameter.name not in by_position
        }


def textract_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a task of a function that returns documents; arguments are those of :class:`TextractOperator`.

    :param python_callable: the function.
    :param kwargs: of the operator.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=TextractDecoratedOperator, **kwargs
    )
