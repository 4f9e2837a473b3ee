"""What a keeper serves once its volume is loaded."""

from dataclasses import dataclass

from trivet.keeper.blob_service import BlobService
from trivet.keeper.companion import Companion
from trivet.keeper.high_water import MarkKeeping
from trivet.keeper.journal import Journal
from trivet.keeper.last_words import LastWords
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.record_service import RecordService
from trivet.keeper.refresh import Refresher
from trivet.keeper.repair_history import RepairLog
from trivet.keeper.repair_queue import RepairQueue
from trivet.keeper.snapshots import Snapshots


@dataclass(slots=True)
class Loaded:
    """The rooms behind a loaded volume."""

    journal: Journal
    blobs: BlobService
    records: RecordService
    volume: LocalVolume
    queue: RepairQueue
    refresher: Refresher
    history: RepairLog
    companion: Companion
    mark: MarkKeeping
    snapshots: Snapshots
    words: LastWords
