"""The limits of an upstream, changed one by one."""

from pathlib import Path

import pytest

from trivet.cli.upstream_limits import limit as typed
from trivet.cli.upstream_limits import limited
from trivet.drive.upstream.byte_budget import BudgetLimits
from trivet.drive.upstream.vendor_quota import QuotaLimits
from trivet.errors import ConfigError, InputError
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.volume_setup import make_volume
from trivet.upstream.account import Account, accounts, keep_account

ACCOUNT = Account(
    "google", "/google", "ann",
    quota=QuotaLimits(requests_per_day=60, day_begins_s=5), download=BudgetLimits(200, 70, day_begins_s=7),
)  # fmt: skip


def test_what_is_not_named_stays() -> None:
    changed = limited(ACCOUNT, download={"pool_bytes": 300}, upload={}, quota={"requests_per_day": None})
    assert changed.download == BudgetLimits(300, 70, day_begins_s=7)
    assert changed.quota == QuotaLimits(requests_per_day=None, day_begins_s=5)
    assert (changed.upload, changed.at) == (ACCOUNT.upload, ACCOUNT.at)


def test_as_typed_without_a_running_drive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = VolumeFolder(tmp_path / "state")
    make_volume(drive, [7000, 8000, 9000], 1, "default")
    keep_account(drive, ACCOUNT)
    assert typed(download_per_day="1.5GB", user_download_per_day="none", state=drive.path) == 0
    assert capsys.readouterr().out == "google: kept; it counts from the next start on.\n"
    assert accounts(drive)[0].download == BudgetLimits(1_500_000_000, None, day_begins_s=7)
    with pytest.raises(InputError, match="say which limit"):
        typed(state=drive.path)
    for wrong in ("0", "-1", "many", "1.5"):
        with pytest.raises(InputError, match="a number above 0, or none"):
            typed(requests_per_day=wrong, state=drive.path)
    with pytest.raises(ConfigError, match="no upstream 'other'"):
        typed("other", download_per_day="1MB", state=drive.path)
