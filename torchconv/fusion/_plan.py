"""Decides which chains of a model can be fused, before anything is changed.

A convolution becomes a block if each of its calls begins the same chain. What follows it must then
do nothing any more: an activation or a pooling falls silent either as a layer, which becomes an
Identity, or, if it is no layer or one with other calls too, by a new forward of the module that
calls it. Either takes that all calls of the layer, or all runs of that place in the forward, belong
to chains that are fused. Dropping a chain may so forbid another one, until nothing changes.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.fx import Graph, Node

from torchconv.fusion._chains import Block, Chain, chains, is_convolution
from torchconv.fusion._forward import can_be_rewritten
from torchconv.fusion._record import Module, Opaque, Recording, is_layer, record

_LISTS = (torch.nn.ModuleList, torch.nn.ModuleDict)
Place = tuple[Module, int]  # a module, and how many-th of the calls in its forward


class Plan(NamedTuple):
    """What to change in a model: convolutions, layers after them, and forwards."""

    blocks: dict[Module, Block]
    identities: set[Module]
    forwards: dict[Module, Graph]


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
    places = defaultdict(list)
    for owner, index in {survey.place[n] for n in nodes if not survey.is_free_layer(n, nodes)}:
        places[owner].append(index)
    return Plan(
        {conv: several[0].block for conv, several in fused.items()},
        {survey.callee[n] for n in nodes if survey.is_free_layer(n, nodes)},
        {owner: survey.forward_without(owner, indices) for owner, indices in places.items()},
    )


class _Survey:
    """Every recorded call in a model, by what is called and from where."""

    def __init__(self, model: Module) -> None:
        self.recordings = list(_recordings(model))
        self.callee: dict[Node, Module] = {}
        self.place: dict[Node, Place] = {}
        self._calls: dict[Module, set[Node]] = defaultdict(set)
        self._runs: dict[Place, set[Node]] = defaultdict(set)
        for recording in self.recordings:
            for node in recording.graph.nodes:
                if (module := recording.callee(node)) is not None:
                    self.callee[node] = module
                    self._calls[module].add(node)
            for run in recording.runs:
                for index, node in enumerate(run.nodes):
                    self.place[node] = run.module, index
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
            and len({chain.block for chain in several}) == 1
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
            if own is not None and not all(
                recording.identity(run) == own.identity(own.runs[0])
                for recording in self.recordings
                for run in recording.runs
                if run.module is module
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
