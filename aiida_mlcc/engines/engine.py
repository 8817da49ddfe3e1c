"""What the WorkChains ask of an engine: one interface for energies and forces, one for correlated energies.

An entry of :mod:`aiida_mlcc.engines.table` implements one of them. The class is a kind of engine: it has ports, and it
reads what labels say of their source. An instance has the settings of the input `engine` of a WorkChain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import ClassVar, Generic, NamedTuple, TypedDict, TypeVar, cast

from aiida import orm
from aiida.engine import Process
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.pyscf_cost import EnergyCost
from aiida_mlcc.jobs.inputs import InputTree, JobOptions, job_inputs, mapping_at, place_inputs
from aiida_mlcc.science.json_values import JsonValue, Source, StoredSettings
from aiida_mlcc.science.labels.labelling_plan import Selection
from aiida_mlcc.science.labels.methods import calculated
from aiida_mlcc.science.settings import Settings, plain

S = TypeVar('S', bound=Settings, covariant=True)


class Step(NamedTuple):
    """A process and its inputs, to be submitted."""

    process: type[Process]
    inputs: InputTree


@dataclass(frozen=True)
class SaidCost:
    """What a job's own files say of its cost.

    :param core_hours: what they account for; None where they say nothing.
    :param is_complete: whether that is all: it is not where the job died.
    :param cores: ranks times threads.
    """

    core_hours: float | None = None
    is_complete: bool = False
    cores: int | None = None
    memory_gb: float | None = None


class Metadata(TypedDict, total=False):
    """What AiiDA is told of a job."""

    call_link_label: str
    label: str
    options: JobOptions
    disable_cache: bool


class Place(TypedDict, total=False):
    """What an input namespace holds that says where jobs run, and how."""

    code: orm.AbstractCode
    metadata: Metadata
    parameters: orm.Dict
    device: orm.Str
    gflops_per_core: orm.Float
    segment_steps: orm.Int
    code_kpoints: orm.AbstractCode
    options: orm.Dict
    step_options: orm.Dict
    network: orm.Dict
    training: orm.Dict
    start_from: ForceFieldData


class BaseInputs(Place, total=False):
    """How a base is made."""

    kind: orm.Str
    force_constants: orm.Dict
    correction: orm.Dict


class DeltaInputs(TypedDict, total=False):
    """Which kinds of Δ are made; beside them stand the inputs of each, at the slug of its name."""

    kind: orm.Str
    compare: orm.List


class Inputs(TypedDict, total=False):
    """The inputs of a WorkChain that checks, engines and forecasts read; each WorkChain has some of them."""

    structure: orm.StructureData
    snapshots: SnapshotsData
    frame: orm.Int
    start: SnapshotsData
    reference: SnapshotsData
    frames: orm.List
    methods: orm.List
    base_method: orm.Str
    engine: orm.Dict
    base_engine: orm.Dict
    selection: orm.Dict
    rounds: orm.Dict
    known_labels: Mapping[str, SnapshotsData]
    max_core_hours: orm.Float
    forecast: orm.Dict
    batch_size: orm.Int
    max_concurrent: orm.Int
    supercell_matrix: orm.List
    symprec: orm.Float
    parameters: orm.Dict
    spectrum: orm.Dict
    n_trajectories: orm.Int
    seed: orm.Int
    seeds: orm.List
    control: orm.Bool
    nac: orm.ArrayData
    nac_other: orm.ArrayData
    force_field: ForceFieldData
    force_fields: Mapping[str, ForceFieldData]
    alternatives: Mapping[str, Mapping[str, ForceFieldData]]
    delta_samples: orm.ArrayData
    training_snapshots: SnapshotsData
    training_errors: orm.Dict
    clean_tensors: orm.Bool
    finished_steps: Mapping[str, orm.RemoteData]
    base: BaseInputs
    delta: DeltaInputs
    evaluate: Place
    md: Place
    correlate: Place
    command: Place
    integrals: Place
    cc4s: Place
    vasp: Place


def given(inputs: Inputs, *names: str) -> dict[str, orm.Data | Place]:
    """Return of the inputs those that are there."""
    found = cast(Mapping[str, orm.Data | Place], inputs)
    return {name: found[name] for name in names if name in found}


def at(inputs: Inputs | DeltaInputs, place: str) -> Place:
    """Return what is at a place, empty where the inputs have none of this name."""
    return cast(Mapping[str, Place], inputs).get(place, {})


def input_of_frame(_: orm.CalcFunctionNode, inputs: Mapping[str, orm.Data], method: str, frame: int) -> str:
    """Return the input of a frame where a job has labelled each, whose numbers are in the names of the inputs."""
    frames = sorted(int(name.removeprefix('frame_')) for name in inputs if name.startswith('frame_'))
    return f'frame_{frames[frame]}'


Codes = Mapping[str, orm.AbstractCode | None]

Groups = Mapping[tuple[str, ...], Sequence[int]]
"""Methods → the frames that lack their energies."""


@dataclass(frozen=True)
class LabelMaker:
    """A process that stores labels of an engine: a job, or a calcfunction that stores what jobs left.

    :param entry_point: as ``aiida.calculations:mlcc.…``.
    :param input_of: of a calcfunction: from its node, its inputs by link label, a method and a frame to the link label
        of the input that holds what the job left of that label, or None where there is none.
    """

    entry_point: str
    input_of: Callable[[orm.CalcFunctionNode, Mapping[str, orm.Data], str, int], str | None] | None = None


class Engine(ABC, Generic[S]):
    """What both kinds of engine say.

    A *place* is an input namespace of a WorkChain that says where jobs run: it holds a code and options.

    :param given: the settings, the engine's ``name`` among them.
    :raises aiida_mlcc.science.settings.SettingsError: naming the first setting that is not allowed.
    """

    name: str
    title: str
    """What people call the program."""
    settings_class: type[S]
    programs: Mapping[str, tuple[str, str]] = MappingProxyType({})
    """What to cite: program → text and address."""
    uncounted: ClassVar[tuple[str, ...]] = ()
    """Settings on which no energy depends."""
    label_makers: ClassVar[tuple[LabelMaker, ...]] = ()
    """The processes that store its labels; those of force engines that run in jobs of the runtime are not listed."""
    shares_jobs: ClassVar[bool] = True
    """Whether structures share a job; else each is labelled on its own."""
    setting_of_cores: ClassVar[str | None] = None
    """The setting that says which electrons belong to the core of an atom."""

    def __init__(self, given: StoredSettings | orm.Dict) -> None:
        self.given: StoredSettings = plain(dict(given))
        """As they are stored: the source of labels names no setting that they leave out."""
        self.settings: S = self.settings_class.of(self.given)

    def source(self) -> Source:
        """Return what the labels say of their source."""
        counted = {name: value for name, value in self.given.items() if name not in ('name', *self.uncounted)}
        return {'engine': self.name, **counted}

    @classmethod
    def valence(cls, source: Source, method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return element → electrons that are not part of its core, None where that is not known.

        :param source: what labels of `method` say of their source, or the settings of the engine.
        """
        return None

    @classmethod
    def cost_of(cls, job: orm.CalcJobNode) -> SaidCost | None:
        """Return what a job of this program without a summary says of its cost; None for other jobs."""
        return None


class ForceEngine(Engine[S]):
    """Energies and forces of structures, and molecular dynamics."""

    place: str
    """Where it labels structures; `evaluate` for jobs of the runtime."""
    place_of_dynamics: str | None
    """Where its dynamics runs; `md` for jobs of the runtime, None if it has no dynamics."""
    relaxes: ClassVar[bool] = False
    """Whether structures can be relaxed with it in an EvaluateCalculation."""

    @classmethod
    @abstractmethod
    def declare_ports(cls, spec: WorkChainSpec, dynamics: bool = False) -> None:
        """Declare the place of the labels, or of the dynamics, unless it is there."""

    @classmethod
    def fill(cls, inputs: InputTree, codes: Codes, options: JobOptions | None, dynamics: bool = False) -> InputTree:
        """Return the inputs of a protocol with what the jobs need, and without the places that are not needed.

        :param codes: namespace of a place → its code; ``code``: the Python of the jobs, or the engine's own program.
        """
        if (place := cls.place_of_dynamics if dynamics else cls.place) is None:
            return inputs
        program = place_inputs(mapping_at(inputs, place), codes.get(place) or codes['code'], options)
        parameters = {'md': {'parameters': mapping_at(inputs, 'md')['parameters']}} if dynamics else {}
        return {**inputs, place: program, **parameters}

    @classmethod
    def runs(cls, code: orm.AbstractCode) -> bool:
        """Tell whether a code is the program itself."""
        return False

    def refuse_crystal(self, atoms: Atoms) -> str | None:
        """Return why the engine cannot label the crystal, in a sentence, or None."""
        return None

    def refuse_electrons(self, atoms: Atoms) -> str | None:
        """Return why the electrons of a supercell cannot be calculated, in a sentence, or None."""
        return None

    def warn_of(self, atoms: Atoms) -> str | None:
        """Return what makes a supercell needlessly costly, in a sentence without its full stop, or None."""
        return None

    @classmethod
    def is_for_metals(cls, source: Source) -> bool:
        """Tell whether the occupations are smeared as only a metal needs it.

        :param source: what labels say of their source, or the settings of the engine.
        """
        return False

    def refuse_places(self, inputs: Inputs, dynamics: bool = False) -> str | None:
        """Return what keeps the jobs from running at the places in the inputs of a WorkChain, or None."""
        place = self.place_of_dynamics if dynamics else self.place
        if place is None:
            return f'the engine is {self.title}, which has no dynamics here: give `snapshots`'
        if 'code' not in at(inputs, place):
            return f'the engine is {self.title}, but `{place}.code` is missing: give the code to run it'
        return None

    @classmethod
    def at_place(cls, inputs: Inputs) -> Place:
        """Return what is at the place where it labels structures, without what other jobs have there."""
        return at(inputs, cls.place)

    def refuse_dynamics(self, parameters: orm.Dict) -> str | None:
        """Return why a dynamics with these parameters cannot be run, in a sentence, or None."""
        return None

    @abstractmethod
    def labels(self, inputs: Inputs, snapshots: SnapshotsData) -> Step:
        """Return what labels `snapshots`.

        Its outputs are those of an EvaluateCalculation with the engine, or `snapshots` and `failures`.

        :param inputs: of the WorkChain: `engine` and the place.
        """

    def dynamics(self, inputs: Inputs, start: SnapshotsData) -> Step:
        """Return what runs the dynamics of a DFTMDWorkChain; its output `trajectory` has all frames there are.

        :raises ValueError: for an engine that runs none, which :meth:`refuse_places` tells at submission.
        """
        raise ValueError(f'{self.title} runs no dynamics here')

    @classmethod
    def n_label_jobs(cls, n_frames: int) -> int:
        """Return how many jobs label so many frames."""
        return 1 if cls.shares_jobs else n_frames

    def n_dynamics_jobs(self, inputs: Inputs) -> int:
        """Return how many jobs the dynamics of a DFTMDWorkChain takes, if none has to be continued."""
        return 1

    @classmethod
    def counted(cls, method: str) -> tuple[str, ...]:
        """Return the settings on which an energy of `method` depends."""
        return tuple(name for name in cls.settings_class.rules() if name not in cls.uncounted)

    @classmethod
    def like(cls, method: str, source: Source, engine: StoredSettings) -> StoredSettings:
        """Return the settings that label new structures as the labels of `source` were made.

        :param source: what labels of `method` say of their source.
        :param engine: settings from which what does not count for an energy may be taken.
        :raises ValueError: where the labels do not say how they were made.
        """
        found = {**cls.settings_class.defaults(), 'name': cls.name}
        for name in cls.counted(method):
            if name not in ('name', 'method'):
                found[name] = cls.said(name, method, source)
        return {**found, **({'method': method} if 'method' in cls.settings_class.rules() else {})}

    @classmethod
    def said(cls, name: str, method: str, source: Source) -> JsonValue:
        """Return what labels of `method` say of a setting.

        :raises ValueError: where they say nothing.
        """
        if name not in source:
            raise ValueError(f'the {method} labels do not say with which `{name}` they were made')
        return source[name]

    @classmethod
    def other_setting(
        cls, given: StoredSettings, like: StoredSettings, besides: Sequence[str] = ()
    ) -> tuple[str, JsonValue, JsonValue] | None:
        """Return the first setting on which an energy depends and that differs: its name and both values, or None.

        :param besides: settings that may differ.
        """
        for name in cls.counted(str(like.get('method', ''))):
            if name not in besides and not cls.is_same(name, given.get(name), like[name]):
                return name, cls.what_counts(name, given.get(name)), cls.what_counts(name, like[name])
        return None

    @classmethod
    def refuse_other_settings(cls, given: StoredSettings, like: StoredSettings) -> str | None:
        """Return in which setting that counts an engine differs from another of this name, in a sentence, or None."""
        if (found := cls.other_setting(given, like)) is None:
            return None
        name, ours, theirs = found
        return (
            f'`base_engine.{name}` is {ours!r}, but the snapshots are labelled with {theirs!r}: '
            'labels of different settings must not be mixed'
        )

    @classmethod
    def is_same(cls, name: str, ours: JsonValue, theirs: JsonValue) -> bool:
        """Tell whether two values of a setting give the same energies."""
        return bool(cls.what_counts(name, ours) == cls.what_counts(name, theirs))

    @classmethod
    def what_counts(cls, name: str, value: JsonValue) -> JsonValue:
        """Return that of a setting's value on which an energy depends."""
        return value


class CorrelationEngine(Engine[S]):
    """Energies of batches of snapshots by methods that are reached through Δ."""

    def calculates(self, methods: Iterable[str]) -> list[str]:
        """Return those of `methods` that the engine has; labels of the others can only be imported."""
        return calculated(methods)

    def energy_cost(self, symbols: Sequence[str], methods: Sequence[str]) -> EnergyCost | None:
        """Return what the energies of one structure cost; None where that is not known before a job says it."""
        return None

    places: tuple[str, ...]
    """Where its jobs run."""

    @classmethod
    @abstractmethod
    def declare_ports(cls, spec: WorkChainSpec) -> None:
        """Declare the places, and what else the jobs need, unless it is there."""

    @classmethod
    def fill(cls, inputs: InputTree, codes: Codes, options: JobOptions | None) -> InputTree:
        """Return the inputs at the places, from those of a protocol: place → inputs.

        The code of a job is that of its place, or else the Python of the jobs.
        """
        return {
            place: job_inputs(mapping_at(inputs, place), codes.get(place) or codes['code'], options)
            for place in cls.places
        }

    def refuse_jobs(self, inputs: Inputs) -> str | None:
        """Return why the jobs cannot run on the snapshots, in a sentence, or None.

        :param inputs: of the WorkChain: `snapshots`, `engine` and the places.
        """
        for place in self.places:
            if (code := at(inputs, place).get('code')) is None:
                return f'the engine is {self.name}, but `{place}.code` is missing'
            with_mpi = at(inputs, place).get('metadata', {}).get('options', {}).get('withmpi')
            if None not in (with_mpi, code.with_mpi) and with_mpi != code.with_mpi:
                return (
                    f'`{place}.metadata.options.withmpi` is {with_mpi}, but the code {code.full_label} has `with_mpi` '
                    f'{code.with_mpi}: set the option to the same'
                )
        return None

    def refuse_methods(self, methods: Sequence[str], frames: Mapping[str, Selection]) -> str | None:
        """Return why these methods cannot have the frames that are asked for, in a sentence, or None.

        :param frames: method → its selection.
        """
        return None

    def forecast(self, inputs: Inputs, atoms: Atoms, methods: Sequence[str]) -> Step | None:
        """Return a job of seconds whose output `forecast` says what a point will cost, or None if there is none.

        Of that output, ``core_hours`` are of a point (method → core hours), ``memory_gb`` of its largest job.

        :param inputs: of the WorkChain: `engine` and the places.
        :param atoms: a point.
        """
        return None

    def caveat(self) -> str | None:
        """Return what keeps the energies of MP2 from being compared with those of CCSD, in a few words, or None."""
        return None

    def find_finished(self, snapshots: SnapshotsData) -> dict[str, dict[str, orm.RemoteData]]:
        """Return what jobs of this profile left of energies that they did not come to: input → its namespace.

        A run on `snapshots` with these inputs goes on from there.
        """
        return {}

    @abstractmethod
    def batch(self, inputs: Inputs, snapshots: SnapshotsData, methods: orm.List) -> Step:
        """Return what labels a batch: its outputs are `labelled` and `failures`.

        :param inputs: of the WorkChain: `engine` and the places.
        """

    def n_jobs(self, groups: Groups, size: int) -> int:
        """Return how many jobs label frames in batches of `size`; by default, the number of batches."""
        return sum(ceil(len(frames) / size) for frames in groups.values())
