import Foundation
import Harness
import Machine
import TraceFile

extension Fuzzer {
  /// Trace files and other emulators' logs, cut and changed, through everything that reads them; a
  /// trace that still opens is replayed for a while.
  ///
  /// Bytes of a file are mostly caught by its checksums, so records are changed too, and packed anew
  /// under sums that are right.
  func trace(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    let samples = try TraceSamples.made.get()
    let path = TraceSamples.path("case")
    defer { Host.removeFile(path) }
    if random.once(in: 3) {
      let (format, text) = random.pick(samples.logs)
      try Self.write(Self.mangled(text, &random), path)
      var options = CheckRun.Options()
      options.log = path
      options.format = format
      try Self.check(CheckRun.run(options), [0, 1, ReplayRun.Status.unreadable])
      return 1
    }
    let sample = random.pick(samples.traces)
    if random.once(in: 2) {
      try Self.write(Self.mangled(sample, &random), path)
    } else {
      try Self.pack(sample, path, &random)
    }
    try replay(path, &random)
    return 1
  }

  private func replay(_ path: String, _ random: inout FuzzRandom) throws(FuzzFailure) {
    var options = ReplayRun.Options()
    options.input = path
    options.isQuiet = true
    options.skipDamaged = random.once(in: 2)
    let report: RunReport
    do throws(LaunchError) {
      let run = try ReplayedRun(options) { _, _ in }
      _ = try run.advance(to: 20_000)
      if random.once(in: 2) { _ = try run.travel(to: UInt64(random.below(2_000))) }
      report = run.finish()
    } catch {
      report = error.report
    }
    try Self.check(report, nil)
  }

  private static func check(
    _ report: RunReport, _ statuses: [Int32]?
  ) throws(FuzzFailure) {
    if let statuses, !statuses.contains(report.status) {
      throw FuzzFailure(description: "status \(report.status): \(report.messages)")
    }
    for message in report.messages where message.contains("\n") {
      throw FuzzFailure(description: "a message of several lines: \(message)")
    }
  }

  private static func write(_ bytes: [UInt8], _ path: String) throws(FuzzFailure) {
    if let problem = Host.replaceFile(path, with: bytes) { throw FuzzFailure(description: problem) }
  }

  /// The records of a trace, one or two of them changed, lost or doubled.
  private static func pack(
    _ sample: [UInt8], _ path: String, _ random: inout FuzzRandom
  ) throws(FuzzFailure) {
    let whole = TraceSamples.path("whole")
    defer { Host.removeFile(whole) }
    try write(sample, whole)
    do throws(TraceFileError) {
      let reader = try TraceReader(whole)
      let writer = try TraceWriter(path)
      let unlucky = random.below(max(reader.chunks.count, 1))
      var index = 0
      while index < reader.chunks.count {
        let header = reader.chunks[index].header
        var record = try reader.record(index)
        if index == unlucky || random.once(in: 8) {
          record.bytes = mangled(record.bytes, &random)
        }
        if !random.once(in: 40) { writer.write(header.kind, first: header.first, record.bytes) }
        if random.once(in: 40) { writer.write(header.kind, first: header.first, record.bytes) }
        index = record.next
      }
      _ = writer.finish()
    } catch {
      throw FuzzFailure(description: "a whole trace can't be read: \(error)")
    }
  }

  /// Bytes with some of them lost, doubled or changed.
  private static func mangled(_ bytes: [UInt8], _ random: inout FuzzRandom) -> [UInt8] {
    var bytes = bytes
    if random.once(in: 6) { return Array(bytes.prefix(random.below(bytes.count + 1))) }
    for _ in 0...random.below(5) where !bytes.isEmpty {
      let at = random.below(bytes.count)
      let count = min(random.below(16), bytes.count - at)
      switch random.below(5) {
      case 0: bytes.removeSubrange(at..<(at + count))
      case 1: bytes.insert(contentsOf: bytes[at..<(at + count)], at: random.below(bytes.count))
      case 2: bytes[at] ^= 1 << UInt8(random.below(8))
      case 3: bytes[at] = random.pick([0, 1, 0x7f, 0x80, 0xff])
      default: bytes.insert(contentsOf: random.bytes(random.below(8)), at: at)
      }
    }
    return bytes
  }
}

/// What is changed: traces of short runs, and logs of them as other emulators write them.
struct TraceSamples: Sendable {
  var traces: [[UInt8]] = []
  var logs: [(CheckRun.Format, [UInt8])] = []

  /// A file of this process.
  static func path(_ name: String) -> String {
    let folder = FileManager.default.temporaryDirectory.path
    return "\(folder)/emu-fuzz-\(ProcessInfo.processInfo.processIdentifier)-\(name)"
  }

  static let made: Result<TraceSamples, FuzzFailure> = {
    do {
      return .success(try TraceSamples())
    } catch {
      return .failure(FuzzFailure(description: "the samples: \(error)"))
    }
  }()

  private init() throws {
    var linux = Scenario(
      "linux",
      assembly: """
        _start: li   a0, 0
                la   a1, text
                li   a2, 64
                li   a7, 63
                ecall
                mv   a2, a0
                li   a0, 1
                li   a7, 64
                ecall
        add:    addi a0, a0, 1
                li   a7, 93
                ecall
                .data
        text:   .zero 64
        """)
    linux.input = Array("typed\n".utf8)
    linux.files = ["/file": [1, 2, 3]]
    linux.probes = ["p:add /asm:add", Scenario.Probe("r:w ksys_write", action: .set(["a0": 9]))]
    linux.machine.memory = 8 << 20
    var bare = Scenario(
      "bare",
      assembly: """
        _start: csrr a0, mhartid
                li   a1, 20
        loop:   addi a1, a1, -1
                bnez a1, loop
                bnez a0, _start
                li   t0, 0x100000
                li   t1, 0x5555
                sw   t1, 0(t0)
        """)
    bare.machine.board = .bare
    bare.machine.harts = 2
    bare.machine.memory = 8 << 20
    for scenario in [linux, bare] {
      let path = Self.path(scenario.name)
      defer { Host.removeFile(path) }
      let rig = try Rig(try PreparedScenario(scenario), seed: 3, trace: path)
      rig.run()
      if let problem = rig.finishTrace() { throw FuzzFailure(description: problem) }
      traces.append(try Host.contents(of: path))
      for (insns, format) in [(InsnFormat.spike, CheckRun.Format.spike), (.qemu, .qemu)] {
        let log = Self.path("log")
        defer { Host.removeFile(log) }
        var options = TraceRun.Options()
        options.replay.input = path
        options.format = insns
        options.userOnly = scenario.machine.board == .linux
        options.output = log
        let report = TraceRun.run(options)
        guard report.status == 0 else { throw FuzzFailure(description: "\(report.messages)") }
        logs.append((format, try Host.contents(of: log)))
      }
    }
  }
}
