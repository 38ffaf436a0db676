import Engine
import Foundation
import Fuzz
import GuestKernel
import Testing

@testable import Machine

/// What was saved goes on as what was never stopped: `SnapshotFuzz` says how that is tried, and
/// `emu-conformance snapshot` tries it longer.
@Suite struct SnapshotTests {
  /// Programs that fork, have threads, signals, pipes, timers, files, and descriptors of `/proc`.
  static let programs = Images.cases("user", fixed: 2).filter {
    [
      "hello-pie", "clocks", "files", "forks", "jumps", "mapfile", "proc", "signals", "threads",
    ].contains($0.name)
  }

  /// Random stops, both engines, both cache models, with and without probes, as the case has it.
  @Test(arguments: programs, [1, 2] as [UInt64])
  func programsGoOn(_ program: ImageCase, _ seed: UInt64) throws {
    let guest = SnapshotFuzz.Guest.program(
      try program.imageBytes(), arguments: program.arguments)
    #expect(try SnapshotFuzz(guest, limit: 300_000).run(seed: seed) > 10)
  }

  @Test(arguments: ["paging", "sbi", "smc", "smp", "traps"], [1, 2] as [UInt64])
  func boardsGoOn(_ name: String, _ seed: UInt64) throws {
    let bytes = try Images.bytes("bare/riscv64/\(name).elf")
    let guest = SnapshotFuzz.Guest.board(
      bytes, harts: name == "smp" ? 2 : 1, supervisor: name == "sbi")
    #expect(try SnapshotFuzz(guest, limit: 300_000).run(seed: seed) > 4)
  }

  /// Every stored property of every object is archived, or said not to be.
  @Test func nothingIsForgotten() throws {
    var findings: Set<String> = []
    var seen: Set<String> = []
    for program in Self.programs {
      let rig = try ProgramRig(program, caches: .coherent, engine: .jit)
      for _ in 0..<40 {
        let audit = rig.machine.audit()
        findings.formUnion(audit.findings)
        seen.formUnion(audit.seen)
        guard rig.machine.run(limit: rig.machine.hart.count + 30_000) == .limit else { break }
      }
    }
    #expect(findings.sorted() == [])
    let known = ["Task", "Process", "AddressSpace", "VMA", "Pipe", "Timer", "Dentry", "ProcText"]
    #expect(seen.isSuperset(of: known), "\(seen.sorted())")
  }

  private func rig(_ name: String = "hello") throws -> ProgramRig {
    let program = try #require(Images.cases("user", fixed: 2).first { $0.name == name })
    return try ProgramRig(program, caches: .coherent)
  }

  /// Pages that did not change are those of the snapshot before.
  @Test func pagesAreShared() throws {
    let rig = try rig("forks")
    #expect(rig.machine.run(limit: 300_000) == .limit)
    let first = try rig.machine.snapshot()
    #expect(rig.machine.run(limit: 301_000) == .limit)
    let second = try rig.machine.snapshot()
    var changed = 0
    second.ram.forEachDifference(from: first.ram) { _, _ in changed += 1 }
    #expect((1...20).contains(changed), "\(changed) of \(second.pageCount)")
    #expect(second.encoded(since: first).count < second.encoded().count / 4)
  }

  /// Whatever is done to the bytes gives one line, or the snapshot itself; nothing is changed.
  @Test func damagedBytes() throws {
    let rig = try rig()
    _ = rig.machine.run(limit: 40_000)
    let snapshot = try rig.machine.snapshot()
    let bytes = snapshot.encoded()
    let hash = rig.machine.stateHash()
    var random = SystemRandomNumberGenerator()
    for cut in [0, 7, 8, 11, 12, 27, bytes.count / 2, bytes.count - 1] {
      #expect(throws: SnapshotError.self) { try MachineSnapshot(decoding: Array(bytes[..<cut])) }
    }
    for _ in 0..<40 {
      var damaged = bytes
      damaged[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255)
      #expect(throws: SnapshotError.self) { try MachineSnapshot(decoding: damaged) }
    }
    var foreign = bytes
    foreign[8] = 77
    #expect(throws: SnapshotError("the snapshot has version 77, known is 2")) {
      try MachineSnapshot(decoding: foreign)
    }
    #expect(throws: SnapshotError("the snapshot has no parent")) {
      try MachineSnapshot(decoding: bytes, parent: snapshot)
    }
    #expect(rig.machine.stateHash() == hash)
  }

  /// States that are well packed and make no sense are refused, and the machine stays as it is.
  @Test func senselessStates() throws {
    let rig = try rig("forks")
    _ = rig.machine.run(limit: 300_000)
    let good = try rig.machine.snapshot()
    let hash = rig.machine.stateHash()
    var random = FuzzRandomSource(7)
    var refused = 0
    for _ in 0..<300 {
      var state = good.state
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        state[Int.random(in: 0..<state.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      let bad = MachineSnapshot(
        count: good.count, facts: good.facts, ram: good.ram, state: state,
        hostState: good.hostState, probes: [], externals: [], machine: rig)
      bad.isProven = false
      do {
        try rig.machine.restore(bad)
        try rig.machine.restore(good)
      } catch {
        refused += 1
      }
      #expect(rig.machine.stateHash() == hash)
    }
    #expect(refused > 100)
    #expect(rig.run() == .ended(.exited(0)))
  }

  @Test func anotherMachineIsRefused() throws {
    let rig = try rig()
    let snapshot = try rig.machine.snapshot()
    var configuration = ProgramConfiguration()
    configuration.memory = 64 << 20
    let other = try ProgramMachine(configuration, host: TestHost()) { true }
    let line =
      "the snapshot is of another machine: bytes of RAM: 134217728 in the snapshot, 67108864 here"
    #expect(throws: SnapshotError(line)) { try other.restore(snapshot) }
  }
}

/// Random numbers with a seed (SplitMix64).
private struct FuzzRandomSource: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z &>> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z &>> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z &>> 31
  }
}
