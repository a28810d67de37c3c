"""Evaluates the CEL of admission policies as the API server does, with Google's CEL for C++.

What the API server adds to CEL is bridged here: quantities, JSON patches, `join`, `indexOf` and
`substring`.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from attrs import field, frozen
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from google.protobuf.json_format import MessageToDict

from numa_trio.workloads.quantity import milli, parse_quantity

STRING_FIELD = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
MESSAGE_FIELD = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE

Object = dict[str, Any]


def _messages() -> descriptor_pool.DescriptorPool:
    """Types of the API server's CEL: kubernetes.Quantity and JSONPatch."""
    pool = descriptor_pool.DescriptorPool()
    struct = descriptor_pb2.FileDescriptorProto()
    struct_pb2.DESCRIPTOR.CopyToProto(struct)
    pool.Add(struct)

    file = descriptor_pb2.FileDescriptorProto(name="quantity.proto", package="kubernetes")
    file.message_type.add(name="Quantity").field.add(name="text", number=1, type=STRING_FIELD)
    pool.Add(file)

    file = descriptor_pb2.FileDescriptorProto(name="patch.proto", dependency=[struct.name])
    patch = file.message_type.add(name="JSONPatch")
    for number, name in enumerate(["op", "path", "from"], start=1):
        patch.field.add(name=name, number=number, type=STRING_FIELD)
    patch.field.add(name="value", number=4, type=MESSAGE_FIELD, type_name=".google.protobuf.Value")
    pool.Add(file)
    return pool


POOL = _messages()
Quantity = message_factory.GetMessageClass(POOL.FindMessageTypeByName("kubernetes.Quantity"))
QUANTITY = cel.Type("kubernetes.Quantity")


def _amount(quantity: Any) -> Fraction:
    return parse_quantity(quantity.text)


def _quantity(text: str) -> Any:
    parse_quantity(text)
    return Quantity(text=text)


def _is_quantity(text: str) -> bool:
    try:
        parse_quantity(text)
    except ValueError:
        return False
    return True


def _function(name: str, overload: cel.Overload) -> cel.FunctionDecl:
    return cel.FunctionDecl(name, [overload])


def _of_quantity(name: str, returns: cel.Type, *others: cel.Type, impl: Any) -> cel.FunctionDecl:
    overload = cel.Overload(f"quantity_{name}", returns, [QUANTITY, *others], True, impl)
    return _function(name, overload)


def _environment() -> cel.Env:
    """The functions that k8s.io/apiserver/pkg/cel/library offers, as far as policies use them."""
    one_string = [cel.Type.STRING]
    list_of_any = cel.Type.List(cel.Type.DYN)
    return cel.NewEnv(
        POOL,
        variables=dict.fromkeys(("object", "params", "variables"), cel.Type.DYN),
        extensions=[ext_optional.ExtOptional()],
        functions=[
            _function(
                "quantity",
                cel.Overload("string_to_quantity", QUANTITY, one_string, False, _quantity),
            ),
            _function(
                "isQuantity",
                cel.Overload("is_quantity", cel.Type.BOOL, one_string, False, _is_quantity),
            ),
            _of_quantity(
                "compareTo",
                cel.Type.INT,
                QUANTITY,
                impl=lambda a, b: (_amount(a) > _amount(b)) - (_amount(a) < _amount(b)),
            ),
            _of_quantity(
                "isGreaterThan", cel.Type.BOOL, QUANTITY, impl=lambda a, b: _amount(a) > _amount(b)
            ),
            _of_quantity("isInteger", cel.Type.BOOL, impl=lambda a: _amount(a).denominator == 1),
            _of_quantity("asApproximateFloat", cel.Type.DOUBLE, impl=lambda a: float(_amount(a))),
            _function(
                "indexOf",
                cel.Overload(
                    "list_indexOf",
                    cel.Type.INT,
                    [list_of_any, cel.Type.STRING],
                    True,
                    lambda items, item: items.index(item) if item in items else -1,
                ),
            ),
            _function(
                "join",
                cel.Overload(
                    "list_join",
                    cel.Type.STRING,
                    [cel.Type.List(cel.Type.STRING), cel.Type.STRING],
                    True,
                    lambda items, separator: separator.join(items),
                ),
            ),
            _function(
                "substring",
                cel.Overload(
                    "string_substring",
                    cel.Type.STRING,
                    [cel.Type.STRING, cel.Type.INT, cel.Type.INT],
                    True,
                    lambda text, start, end: text[start:end],
                ),
            ),
            _function(
                "jsonpatch.escapeKey",
                cel.Overload(
                    "escapeKey",
                    cel.Type.STRING,
                    one_string,
                    False,
                    lambda key: key.replace("~", "~0").replace("/", "~1"),
                ),
            ),
        ],
    )


ENVIRONMENT = _environment()


class EvaluationFailed(Exception):
    """An expression ended in an error instead of a value."""


@frozen
class Expression:
    """One compiled expression, which must have exactly the type that the API server asks for."""

    text: str
    type_name: str
    _program: cel.Expression

    def __call__(self, **bindings: object) -> Any:
        value = self._program.eval(data=bindings)
        if value.type() == cel.Type.ERROR:
            raise EvaluationFailed(f"{self.text}\n{value.plain_value()}")
        return value.plain_value()


def compiled(text: str, type_name: str | None = None) -> Expression:
    """Compile; raises if the type is not the one named (None: any)."""
    program = ENVIRONMENT.compile(text)
    found = program.return_type().name()
    if type_name is not None and found != type_name:
        raise TypeError(f"must evaluate to {type_name} but got {found}: {text}")
    return Expression(text, found, program)


@frozen
class Matching:
    """What both kinds of policy share: match conditions and variables."""

    conditions: tuple[Expression, ...]
    variables: Mapping[str, Expression]

    def matches(self, pod: Object, params: Object | None = None) -> bool:
        return all(condition(object=pod, params=params) for condition in self.conditions)

    def values(self, pod: Object, params: Object | None = None) -> Object:
        """The variables in order, each with those before it."""
        values: Object = {}
        for name, expression in self.variables.items():
            values[name] = expression(object=pod, params=params, variables=values)
        return values

    @classmethod
    def read(cls, spec: Object) -> "Matching":
        return cls(
            tuple(compiled(c["expression"], "BOOL") for c in spec.get("matchConditions", [])),
            {v["name"]: compiled(v["expression"]) for v in spec.get("variables", [])},
        )


@frozen
class ValidatingPolicy:
    """A ValidatingAdmissionPolicy: says which of its validations a pod fails."""

    matching: Matching
    validations: tuple[tuple[Expression, Expression], ...] = field()

    @classmethod
    def read(cls, policy: Object) -> "ValidatingPolicy":
        return cls(
            Matching.read(policy["spec"]),
            tuple(
                (compiled(v["expression"], "BOOL"), compiled(v["messageExpression"], "STRING"))
                for v in policy["spec"]["validations"]
            ),
        )

    def refusals(self, pod: Object, params: Object) -> list[str]:
        """The messages of the validations that fail, in order; the first is what users see."""
        return list(self._refusals(pod, params))

    def _refusals(self, pod: Object, params: Object) -> Iterator[str]:
        if not self.matching.matches(pod, params):
            return
        bindings = {
            "object": pod,
            "params": params,
            "variables": self.matching.values(pod, params),
        }
        for expression, message in self.validations:
            if not expression(**bindings):
                yield message(**bindings)


@frozen
class MutatingPolicy:
    """A MutatingAdmissionPolicy of JSON patches."""

    matching: Matching
    patches: tuple[Expression, ...]

    @classmethod
    def read(cls, policy: Object) -> "MutatingPolicy":
        return cls(
            Matching.read(policy["spec"]),
            tuple(
                compiled(m["jsonPatch"]["expression"], "LIST<JSONPatch>")
                for m in policy["spec"]["mutations"]
            ),
        )

    def mutated(self, pod: Object, params: Object | None = None) -> Object:
        """The pod after all mutations and the API server's defaults."""
        if not self.matching.matches(pod, params):
            return pod
        result = copy.deepcopy(pod)
        for patch in self.patches:
            values = self.matching.values(result, params)
            operations = patch(object=result, params=params, variables=values)
            for operation in operations:
                _apply(result, MessageToDict(operation))
        return as_admitted(result)


def _apply(document: Object, operation: Object) -> None:
    """One `add` of RFC 6902."""
    assert operation["op"] == "add"
    *parents, last = (
        part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
    )
    place: Any = document
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[last] = operation["value"]


def as_admitted(pod: Object) -> Object:
    """The pod as policies see it: requests filled in from limits, quantities canonical
    and rounded up to thousandths.

    Source: SetDefaults_Pod and SetDefaults_ResourceList, k8s.io/kubernetes/pkg/apis/core/v1.
    """
    result = copy.deepcopy(pod)
    spec = result["spec"]
    for container in spec["containers"] + spec.get("initContainers", []):
        resources = container.setdefault("resources", {})
        limits = {name: _canonical(value) for name, value in resources.get("limits", {}).items()}
        requests = {
            name: _canonical(value) for name, value in resources.get("requests", {}).items()
        }
        container["resources"] = {
            name: amounts
            for name, amounts in (("limits", limits), ("requests", limits | requests))
            if amounts
        }
    return result


def _canonical(value: object) -> str:
    exact = parse_quantity(value)
    amount = Fraction(milli(exact), 1000)
    if amount != exact:
        value = f"{milli(exact)}m"
    if amount.denominator == 1 and not re.search("[A-Za-z]", str(value).removesuffix("m")):
        return str(amount.numerator)
    return str(value)
