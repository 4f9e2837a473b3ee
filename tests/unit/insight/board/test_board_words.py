"""The sentence on top of the board, and what is worth a look, for drives in every state."""

from trivet.insight.board.verdict import judge
from trivet.insight.board.worth import MOST, worth_a_look
from trivet.wire.board_frames import AlertTold, FloodsTold, PairTold, TrafficTold, UpstreamTold, Verdict
from trivet.wire.control_messages import BankStatus, Child, Children, ServerState, ServerStatus, Status

ALL = Children([Child("bank", port, None, "down", "") for port in (7000, 8000, 9000)])


def drive(*states: ServerState, healthy: bool = False, notes: list[str] | None = None, damage: int = 0,
          divergent: int = 0) -> Status:  # fmt: skip
    banks = [BankStatus(base, [ServerStatus(base, state, divergent=0 if state == "up" else divergent)])
             for base, state in zip((7000, 8000, 9000), states, strict=True)]  # fmt: skip
    return Status("v", healthy, banks, open_damage=damage, refresh_age_s=40.2, notes=notes or [])


def test_a_healthy_drive() -> None:
    told = judge(drive("up", "up", "up", healthy=True))
    assert told == Verdict(
        "good", "All is well: 3 of 3 banks, everything has three copies, last check 40 s ago."
    )


def test_a_drive_that_was_just_begun_has_no_check_to_tell_of() -> None:
    status = Status("v", True, drive("up", "up", "up").banks)
    assert judge(status).sentence.endswith("the first check is under way.")


def test_a_bank_is_away_and_what_it_missed_is_no_damage() -> None:
    told = judge(
        drive("up", "up", "down", damage=3, divergent=3, notes=["bank 9000 is degraded: no answer"]), "", ALL
    )
    assert told.level == "warn"
    assert told.sentence == "The drive works; 1 of 3 banks is away (9000)."
    assert (
        told.doing == "The other two serve. What is missing is being started again, then brought up to date."
    )


def test_a_bank_that_was_stopped_on_purpose() -> None:
    stopped = Children([Child("bank", 9000, None, "stopped", "")])
    told = judge(drive("up", "up", "down"), "", stopped)
    assert "Stopped on purpose: `trivet start 9000` starts it again." in told.doing


def test_nobody_looks_after_a_drive_run_by_hand() -> None:
    assert "start them by hand" in judge(drive("up", "up", "down")).doing


def test_damage_is_counted() -> None:
    told = judge(drive("up", "up", "up", damage=1))
    assert told.sentence == "The drive works; 1 copy is damaged or out of date."
    assert told.doing == "Damaged copies are being mended from good ones."


def test_a_bank_catches_up_a_disk_is_full() -> None:
    assert "bank 9000 is catching up" in judge(drive("up", "up", "joining")).sentence
    told = judge(drive("up", "up", "full"))
    assert "the disk of server 9000 is full" in told.sentence
    assert "Make room there" in told.doing


def test_two_banks_away_is_a_standstill() -> None:
    note = "NoMajority: 1 of 3 banks answer; 2 are needed to begin"
    told = judge(drive("up", "down", "down", notes=[note]), "", ALL)
    assert told.level == "bad"
    assert told.sentence == "The drive stands still: 2 of 3 banks are away (8000, 9000)."
    nobody_tried_yet = judge(drive("up", "down", "down"), "", ALL)
    assert (nobody_tried_yet.level, nobody_tried_yet.sentence) == ("bad", told.sentence)


def test_a_standstill_with_all_banks_there_says_why() -> None:
    told = judge(drive("up", "up", "up", notes=["NoMajority: history was rolled back"]))
    assert told.sentence == "The drive stands still: history was rolled back."


def test_no_answer() -> None:
    told = judge(None, "nothing is running on /x")
    assert told == Verdict(
        "bad", "The drive does not answer: nothing is running on /x.", "`trivet up` starts it."
    )
    assert "being started again" in judge(None, "it hangs", ALL).doing


def test_a_note_alone_is_told() -> None:
    assert (
        judge(drive("up", "up", "up", notes=["possibly stale."])).sentence
        == "The drive works; possibly stale."
    )


def test_worth_a_look() -> None:
    traffic = TrafficTold(hits=100, server_errors=6, alert=True, alerts=[AlertTold(0, True, "9.0 a second")])
    floods = FloodsTold([PairTold("10.0.0.1", "/" + "x" * 200, 700, True), PairTold("10.0.0.2", "/", 3)])
    vendor = UpstreamTold("google", False, "the vendor's quota of today is spent", 1, 1, 1.0, 0, 0, 0)
    told = worth_a_look(traffic, floods, [vendor], None)
    assert told[0] == "google: the vendor's quota of today is spent"
    assert told[1] == "6 of 100 answers of the last minute were errors"
    assert told[2] == "Much more traffic than before: 9.0 a second"
    assert told[3].startswith("10.0.0.1 asks for /xxx")
    assert "… 700 times a minute: a loop?" in told[3]
    assert len(told) == 4 <= MOST


def test_nothing_is_worth_a_look_on_a_quiet_drive() -> None:
    assert worth_a_look(TrafficTold(hits=5), FloodsTold(), [], None) == []
