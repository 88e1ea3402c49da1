"""Decides which chains of a model can be fused, before anything is changed.

A convolution becomes a block if each of its calls begins the same chain. What follows it must then
do nothing any more. A layer returns its input, if all its calls belong to fused chains. A function,
or a layer with other calls, is left out of a new forward of the module that calls it, if all runs
of that place belong to fused chains. Dropping one chain may forbid another, until nothing changes.

Chains that share a layer or a new forward make up one group: they are fused only together.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.fx import Graph, Node

from torchconv.fusion._callers import original_class
from torchconv.fusion._chains import OPERATOR_OF, Chain, Tail, chains, is_convolution
from torchconv.fusion._group import Group
from torchconv.fusion._record import Module, Opaque, Recording, Run, is_layer, record
from torchconv.fusion._rewritten import can_be_rewritten

_LISTS = (torch.nn.ModuleList, torch.nn.ModuleDict)
CallSite = tuple[Module, int]  # a module, and how many-th of the calls in its forward


class Plan(NamedTuple):
    """What to change in a model: convolutions, layers after them, and forwards."""

    blocks: dict[Module, Tail]
    followers: set[Module]
    forwards: dict[Module, Graph]
    groups: dict[Module, Group]  # of each module above


def make_plan(model: Module) -> Plan:
    """Finds the chains of a model, and what their fusion takes."""
    survey = _Survey(model)
    fused = survey.candidates()
    while True:
        nodes = {node for several in fused.values() for chain in several for node in chain.rest}
        impossible = [
            conv
            for conv, several in fused.items()
            if not all(survey.can_fall_silent(n, nodes) for chain in several for n in chain.rest)
        ]
        if not impossible:
            break
        for conv in impossible:
            del fused[conv]
    free = {node for node in nodes if survey.is_free_layer(node, nodes)}
    places = defaultdict(list)
    for owner, index in {survey.place[node] for node in nodes - free}:
        places[owner].append(index)
    every = [chain for several in fused.values() for chain in several]
    return Plan(
        {conv: several[0].tail for conv, several in fused.items()},
        {survey.callee[node] for node in free},
        {owner: survey.forward_without(owner, indices) for owner, indices in places.items()},
        _groups(survey, every, free),
    )


def _groups(survey: "_Survey", every: list[Chain], free: set[Node]) -> dict[Module, Group]:
    """The group of each convolution, follower and owner of a new forward."""
    groups: dict[Module, Group] = {}
    for chain in every:
        followers = {survey.callee[node] for node in chain.rest if node in free}
        left_out = [node for node in chain.rest if node not in free]
        layers = {survey.callee[node] for node in left_out if node in survey.callee}
        functions = {OPERATOR_OF[node.target] for node in left_out if node not in survey.callee}
        paths: list[set[Run]] = [survey.run[node].path() for node in (chain.call, *chain.rest)]
        partial = {run.module for run in paths[0].union(*paths) - paths[0].intersection(*paths)}
        owners = {survey.place[node][0] for node in (chain.call, *chain.rest)}
        callers = {original_class(module) for module in owners | partial}
        group = Group({chain.conv}, followers, layers, functions, partial, callers)
        members = {chain.conv, *followers, *(survey.place[node][0] for node in left_out)}
        for other in {groups[member] for member in members if member in groups}:
            group = group.joined(other)
            members |= {member for member, its in groups.items() if its is other}
        groups |= dict.fromkeys(members, group)
    return groups


class _Survey:
    """Every recorded call in a model, by what is called and from where."""

    def __init__(self, model: Module) -> None:
        self.recordings = list(_recordings(model))
        self.callee: dict[Node, Module] = {}
        self.place: dict[Node, CallSite] = {}
        self.run: dict[Node, Run] = {}
        self._calls: dict[Module, set[Node]] = defaultdict(set)
        self._runs: dict[CallSite, set[Node]] = defaultdict(set)
        for recording in self.recordings:
            for node in recording.graph.nodes:
                if (module := recording.callee(node)) is not None:
                    self.callee[node] = module
                    self._calls[module].add(node)
            for run in recording.runs:
                for index, node in enumerate(run.nodes):
                    self.place[node] = run.module, index
                    self.run[node] = run
                    self._runs[run.module, index].add(node)
        self._parents: dict[Module, set[Module]] = defaultdict(set)
        for parent in model.modules():
            for child in parent.children():
                self._parents[child].add(parent)
        self._recorded = {run.module for recording in self.recordings for run in recording.runs}
        self._own: dict[Module, Recording | None] = {}

    def candidates(self) -> dict[Module, list[Chain]]:
        """The convolutions of which each call begins the same chain, with these chains."""
        found: dict[Module, list[Chain]] = defaultdict(list)
        for recording in self.recordings:
            for chain in chains(recording):
                found[chain.conv].append(chain)
        return {
            conv: several
            for conv, several in found.items()
            if self._is_known(conv)
            and len(several) == len(self._calls[conv])
            and len({chain.tail for chain in several}) == 1
        }

    def can_fall_silent(self, node: Node, fused: set[Node]) -> bool:
        """Whether an activation or pooling can be left out, if the given nodes all are."""
        if self.is_free_layer(node, fused):
            return True
        owner, _ = self.place[node]
        return self._runs[self.place[node]] <= fused and self._own_recording(owner) is not None

    def is_free_layer(self, node: Node, fused: set[Node]) -> bool:
        """Whether a node calls a layer that only the given nodes call."""
        layer = self.callee.get(node)
        return layer is not None and self._calls[layer] <= fused and self._is_known(layer)

    def forward_without(self, module: Module, indices: list[int]) -> Graph:
        """The module's own forward without some of its calls."""
        own = self._own_recording(module)
        assert own is not None
        for node in [own.runs[0].nodes[index] for index in indices]:
            node.replace_all_uses_with(node.all_input_nodes[0])
            own.graph.erase_node(node)
        return own.graph

    def _is_known(self, module: Module) -> bool:
        """Whether all forwards that can call the module by its name have been recorded."""
        return all(
            parent in self._recorded
            or (isinstance(parent, _LISTS) and self._is_known(parent))  # a list calls nothing
            for parent in self._parents[module]
        )

    def _own_recording(self, module: Module) -> Recording | None:
        """Of the module's forward alone, if that can be written anew and makes the same calls."""
        if module not in self._own:
            own = record(module) if can_be_rewritten(module) else None
            if own is not None and (
                own.has_constants()
                or not all(
                    recording.identity(run) == own.identity(own.runs[0])
                    for recording in self.recordings
                    for run in recording.runs
                    if run.module is module
                )
            ):
                own = None
            self._own[module] = own
        return self._own[module]


def _recordings(model: Module) -> Iterator[Recording]:
    """Recordings of as few forwards as tell all that can be told of the model's modules."""
    if not any(map(is_convolution, model.modules())):
        return
    opaque: Opaque = set()
    recorded: set[Module] = set()
    for module in model.modules():  # outer modules first
        if is_layer(module) or module in recorded:
            continue
        recording = record(module, opaque)
        if recording is not None:
            recorded.update(run.module for run in recording.runs)
            yield recording
