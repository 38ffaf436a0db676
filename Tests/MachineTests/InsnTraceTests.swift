import Engine
import Foundation
import Testing
import TraceFile

@testable import Machine

/// `emu trace`, `emu diff`, `emu check` and probes on a replay.
@Suite(.enabled(if: Child.program != nil, "no emu beside the tests: run swift build first"))
struct InsnTraceTests {
  static func program(_ name: String) -> String { Images.path("user/riscv64/\(name).elf") }

  /// A recording of a program.
  static func record(
    _ scratch: Scratch, _ arguments: [String], as name: String = "run"
  ) throws
    -> String
  {
    let trace = "\(scratch.path)/\(name).emutrace"
    let result = try Child(["record", "-o", trace] + arguments).finish()
    try #require(result.status == 0, "\(result.errors)")
    return trace
  }

  static func lines(_ arguments: [String]) throws -> [Substring] {
    let result = try Child(arguments).finish()
    #expect(result.status == 0)
    #expect(result.errors == "")
    return result.output.split(separator: "\n")
  }

  // MARK: Traces

  @Test func aRangeIsTracedWithItsEffects() throws {
    let scratch = try Scratch()
    let trace = try Self.record(scratch, [Self.program("hello"), "world"])
    let all = try Self.lines(["trace", trace]).filter { !$0.hasPrefix("<") }
    let counts = all.compactMap { UInt64($0.split(separator: " ")[0]) }
    #expect(counts == counts.sorted())
    #expect(counts.count == all.count)
    let part = try Self.lines(["trace", trace, "--from", "5000", "--to", "5100"])
      .filter { !$0.hasPrefix("<") }
    #expect(part == all.filter { (5000..<5100).contains(UInt64($0.split(separator: " ")[0]) ?? 0) })
    // The first instruction of the program, and a store of its own.
    let user = try Self.lines(["trace", trace, "--user", "--no-counts"])
    #expect(user[0] == "<_start> task 1")
    #expect(user[1].hasPrefix("U 00000000010034e0 ffffd197 auipc gp,0xffffd"))
    #expect(user[1].hasSuffix(" gp=00000000010004e0"))
    #expect(user.contains { $0.contains(" sd ra,8(sp) ") && $0.contains(" st8[") })
    #expect(user.contains { $0.contains(" lw ") && $0.contains(" ld4[") })
  }

  @Test func bothEnginesTraceTheSame() throws {
    let scratch = try Scratch()
    let trace = try Self.record(scratch, [Self.program("signals")])
    let one = try Self.lines(["trace", trace, "--engine", "interpreter", "--to", "40000"])
    let two = try Self.lines(["trace", trace, "--engine", "auto", "--to", "40000"])
    #expect(one == two)
    #expect(one.count > 40_000)
  }

  @Test func aTraceOfBlocksHasTheSameInstructions() throws {
    let scratch = try Scratch()
    for program in ["hello", "signals"] {
      let trace = try Self.record(scratch, [Self.program(program)])
      let blocks = "\(scratch.path)/blocks"
      let result = try Child.run(
        "trace", trace, "--format", "blocks", "-o", blocks, "--stats", "--to", "40000")
      #expect(result.status == 0)
      #expect(result.errors.contains("instructions  "))
      // Of a line: the count, and what is behind the mode, up to the effects.
      func insn(_ line: Substring) -> [Substring] {
        let words = line.split(separator: " ")
        return [words[0], words[2], words[3]]
      }
      let fromRun = try Self.lines(["trace", trace, "--to", "40000"]).filter { !$0.hasPrefix("<") }
        .map(insn)
      let fromBlocks = try Self.lines(["trace", blocks]).map(insn)
      #expect(fromRun == fromBlocks)
    }
  }

  @Test func formatsOfOthers() throws {
    let scratch = try Scratch()
    let trace = try Self.record(scratch, [Self.program("hello")])
    let json = try Self.lines(["trace", trace, "--format", "json", "--to", "2000"])
    for line in json {
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      #expect(object?["pc"] is String)
      #expect(object?["insn"] is String)
    }
    let result = try Child.run("trace", trace, "--format", "perfetto")
    let events = try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
    let phases = events.compactMap { $0["ph"] as? String }
    #expect(phases.filter { $0 == "B" }.count == phases.filter { $0 == "E" }.count)
    #expect(events.contains { $0["name"] as? String == "main" })
  }

  // MARK: Checking

  @Test(arguments: ["spike", "qemu"]) func ourOwnLogsAreReadBack(_ format: String) throws {
    let scratch = try Scratch()
    for program in ["hello", "floats"] {
      let trace = try Self.record(scratch, [Self.program(program)])
      let log = "\(scratch.path)/log"
      let user = format == "qemu" ? ["--user"] : []
      _ = try Self.lines(
        ["trace", trace, "--format", format, "-o", log, "--to", "40000"] + user)
      let result = try Child.run("check", log, "--format", format)
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.errors.contains(" instructions, 0 differences"))
    }
  }

  /// Of programs only: what the kernel did between two of their instructions is not in the log, nor
  /// which program each is of; and a store-conditional fails when another one has run.
  @Test func logsOfSeveralProgramsAreReadBack() throws {
    let scratch = try Scratch()
    for program in ["forks", "threads", "signals"] {
      let trace = try Self.record(scratch, [Self.program(program)])
      let log = "\(scratch.path)/log"
      _ = try Self.lines(
        ["trace", trace, "--format", "spike", "-o", log, "--to", "400000", "--user"])
      let result = try Child.run("check", log, "--format", "spike")
      #expect(result.status == 0, "\(program): \(result.errors)")
      #expect(result.errors.contains(" instructions, 0 differences"))
    }
  }

  /// Composed by hand after riscv-isa-sim, `riscv/execute.cc`, `commit_log_print_insn`, and checked
  /// by the manual: the reset vector, then an atomic, a compressed, a floating-point instruction.
  static let spike = """
    core   0: 3 0x0000000000001000 (0x00000297) x5  0x0000000000001000
    core   0: 3 0x0000000000001004 (0x02028593) x11 0x0000000000001020
    core   0: 3 0x0000000000001008 (0xf1402573) x10 0x0000000000000000
    core   0: 3 0x000000000000100c (0x0182b283) x5  0x0000000080000000 mem 0x0000000000001018
    core   0: 3 0x0000000000001010 (0x00028067)
    core   0: 3 0x0000000080000000 (0x00006437) x8  0x0000000000006000
    core   0: 3 0x0000000080000004 (0x30042073) c768_mstatus 0x8000000a00006000
    core   0: 3 0x0000000080000008 (0x00000497) x9  0x0000000080000008
    core   0: 3 0x000000008000000c (0x0084b023) mem 0x0000000080000008 0x0000000000006000
    core   0: 3 0x0000000080000010 (0x0c84a62f) x12 0x0000000000006000 mem 0x0000000080000008 mem 0x0000000080000008 0x00006000
    core   0: 3 0x0000000080000014 (0x0405) x8  0x0000000000006001
    core   0: 3 0x0000000080000016 (0xd2247053) f0  0x40d8004000000000

    """

  @Test func aSpikeLogIsChecked() throws {
    let scratch = try Scratch()
    // fcvt.d.l has frm 7: without the fcsr of a real run nothing is accrued, for it is exact.
    let text = Self.spike.replacing("(0x0c84a62f)", with: "(0x0884a62f)")
    let log = try scratch.file("log", text)
    let result = try Child.run("check", log, "--format", "spike")
    #expect(result.errors.contains("check: 12 instructions, 0 differences"), "\(result.errors)")
    // Any one value changed shows, with its line.
    let wrong = text.replacing("x8  0x0000000000006001", with: "x8  0x0000000000006002")
    let bad = try Child.run("check", try scratch.file("log", wrong), "--format", "spike")
    #expect(bad.status == 1)
    #expect(bad.errors.contains("line 11: 0x80000014: addi s0,s0,1"))
    #expect(bad.errors.contains("s0 is 0x6001, the log has 0x6002"))
    let store = text.replacing(
      "mem 0x0000000080000008 0x0000000000006000", with: "mem 0x0000000080000008 0x0000000000006008"
    )
    let worse = try Child.run("check", try scratch.file("log", store), "--format", "spike")
    #expect(worse.status == 1)
    #expect(worse.errors.contains("line 9: "))
  }

  @Test func logsThatCanNotBeRead() throws {
    let scratch = try Scratch()
    func check(_ text: String, _ format: String, _ parts: String...) throws {
      let result = try Child.run(
        "check", try scratch.file("log", text), "--format", format)
      #expect(result.status == 122)
      #expect(!result.wasKilled)
      for part in parts { #expect(result.errors.contains(part), "\(result.errors)") }
    }
    let first = Self.spike.split(separator: "\n").prefix(3).joined(separator: "\n")
    try check("", "spike", "no instruction in it")
    try check(String(first.dropLast(5)), "spike", "line 3: the log stops in the middle of a line")
    try check(
      " V      =   0\n pc       0000000000001000\n mhartid  0000000000000000\n", "qemu",
      "line 3: a log of QEMU's system mode")
    try check("what is this\n", "spike", "line 1: not a line of Spike's commit log")
    try check("core   0: 3 0x0000000000001000 (0x00000297) x5\n", "spike", "line 1: register x5")
    try check("core   0: 3 0x0000000000001000 (97) x5\n", "spike", "line 1: the instruction")
    try check("0x1: zz\n", "qemu", "line 1: not an instruction of in_asm")
    try check(" pc       0000000000001000\n x0/zero  00000000", "qemu", "line 2: the log stops")
    let missing = try Child.run("check", "/no/such/log", "--format", "spike")
    #expect(missing.status == 122)
    #expect(missing.errorLines.count == 2)
  }

  @Test func randomLogsAreNoTraps() throws {
    var generator = SplitMix64(state: 5)
    let logs = [
      Array(Self.spike.utf8),
      Array(
        """
        ----------------
        IN: main
        0x0000000000001000:  00000297          auipc                   t0,0

         pc       0000000000001000
        """.utf8)
        + (0..<8).flatMap { row in
          Array("\n".utf8)
            + (0..<4).flatMap {
              Array(" x\(4 * row + $0)/aa  000000000000000\($0)".utf8)
            }
        } + Array("\n".utf8),
    ]
    for (index, whole) in logs.enumerated() {
      for _ in 0..<600 {
        var bytes = whole
        for _ in 0..<Int.random(in: 0..<4, using: &generator) {
          bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
            in: 9...126, using: &generator)
        }
        bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
        do throws(LogError) {
          if index == 0 {
            var log = SpikeLog(bytes)
            while try log.next() != nil {}
          } else {
            var log = QEMULog(bytes)
            while try log.next() != nil {}
          }
        } catch {
          #expect(error.line > 0)
        }
      }
    }
  }

  // MARK: Differences

  @Test func aTraceDoesNotDifferFromItself() throws {
    let scratch = try Scratch()
    let trace = try Self.record(scratch, [Self.program("hello")])
    let result = try Child.run("diff", trace, trace)
    #expect(result.status == 0)
    #expect(result.output == "")
  }

  @Test func theFirstDifferenceIsShownWithItsPlace() throws {
    let scratch = try Scratch()
    let one = try Self.record(scratch, [Self.program("hello"), "a"], as: "one")
    let two = try Self.record(scratch, [Self.program("hello"), "bb"], as: "two")
    let result = try Child.run("diff", one, two)
    #expect(result.status == 1)
    #expect(result.output.contains("argument: '\(Self.program("hello")) a' and "))
    #expect(result.output.contains("first difference at instruction "))
    #expect(result.output.contains("> task 1"))
  }

  // MARK: Probes on a replay

  @Test func probesWatchAReplayAndChangeNothing() throws {
    let scratch = try Scratch()
    let hello = Self.program("hello")
    let probes = [
      "p:write ksys_write fd=$arg1 count=$arg3", "r:written ksys_write ret=$retval",
      "p:main \(hello):main argc=%a0:s32", "r:main_r \(hello):main ret=$retval",
    ].flatMap { ["--probe", $0] }
    let plain = try Child(["run"] + probes + [hello, "x"]).finish()
    let trace = try Self.record(scratch, [hello, "x"])
    let unprobed = try Child.run("replay", "--stats", trace)
    let probed = try Child(["replay", "--stats", trace] + probes).finish()
    #expect(probed.status == 0)
    #expect(probed.output == unprobed.output)
    for name in ["instructions retired", "state hash", "page faults"] {
      #expect(
        RecordReplayTests.figure(name, probed) == RecordReplayTests.figure(name, unprobed))
    }
    // The same events with the same arguments, only at other times.
    func events(_ result: Child.Result) -> [String] {
      result.errorLines.compactMap { line in
        line.range(of: ": ").flatMap { _ in
          line.contains(" [000] ")
            ? line.split(separator: ":", maxSplits: 1).last.map(String.init) : nil
        }
      }
    }
    #expect(events(probed) == events(plain))
    #expect(events(probed).count == 4)
  }

  // MARK: Travelling

  @Test func aPlaceCanBeLookedAt() throws {
    let scratch = try Scratch()
    let trace = try Self.record(scratch, [Self.program("threads")])
    let lines = try Self.lines([
      "replay", trace, "--to", "12345", "--dump", "regs,maps,stack,tasks",
    ])
    let traced = try Self.lines(["trace", trace, "--from", "12345", "--to", "12346"])
    let pc = try #require(traced.last?.split(separator: " ")[2])
    #expect(lines[0].hasPrefix("pc=\(pc) mode="))
    #expect(lines.contains { $0.contains("threads.elf") && $0.contains("r-xp") })
    #expect(lines.contains { $0.hasPrefix("sp+0 ") })
    let beyond = try Child.run("replay", trace, "--to", "99999999999")
    #expect(beyond.errors.contains("the run ends at instruction "))
  }

  @Test func travelBySnapshotArrivesWhereTheRunWas() throws {
    let host = LiveChooser(TestHost(), wait: { true })
    let scratch = try Scratch()
    let path = "\(scratch.path)/t"
    let command = RecordedCommand.program([Self.program("threads")], ProgramRun.Options())
    let sink = TraceSink()
    let recorder = Recorder(host, into: sink)
    let session = try command.session(recorder)
    var description = RunDescription()
    command.describe(&description)
    // The test's random bytes follow from no seed, and so they are among the answers.
    description["seed"] = nil
    try sink.begin(path, description)
    var hashes: [UInt64: StateHash] = [:]
    var parent: MachineSnapshot?
    var number: UInt64 = 0
    while try session.advance(to: session.count + 20_000) {
      hashes[session.count] = session.stateHash()
      guard session.count % 60_000 == 0, let snapshot = try session.takeSnapshot() else { continue }
      var record = ByteWriter()
      record.number(number)
      record.bytes(snapshot.encoded(since: parent))
      sink.write(.snapshot, at: session.count, record.data)
      parent = snapshot
      number += 1
    }
    #expect(number > 2)
    var end = RunDescription()
    end.add("count", "\(session.count)")
    end.add("state-hash", session.stateHash().description)
    #expect(sink.finish(at: session.count, end) == nil)
    var options = ReplayRun.Options()
    options.input = path
    let replayed = try ReplayedRun(options, output: { _, _ in })
    #expect(replayed.recording.snapshotCount == Int(number))
    // Forth, back, forth.
    for count in [hashes.keys.max() ?? 0, 20_000, 80_000, 40_000, 140_000] {
      guard let hash = hashes[count] else { continue }
      _ = try replayed.travel(to: count)
      #expect(replayed.session.count == count)
      #expect(replayed.session.stateHash() == hash)
    }
    _ = try replayed.advance(to: .max)
    #expect(replayed.replay.divergence == nil)
    #expect(replayed.session.count == session.count)
    #expect(replayed.session.stateHash() == session.stateHash())
  }
}
