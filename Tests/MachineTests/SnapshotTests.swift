import Engine
import Foundation
import GuestKernel
import Testing

@testable import Machine

/// Programs are stopped at random counts; what was saved there goes on as what was never stopped.
@Suite struct SnapshotTests {
  /// Programs that fork, have threads, signals, pipes, timers, files, and descriptors of `/proc`.
  static let programs = Images.cases("user", fixed: 2).filter {
    [
      "hello-pie", "cat", "clocks", "crash-segv", "files", "forks", "forks-vfork", "jumps",
      "mapfile", "proc", "signals", "stackgrow", "threads",
    ].contains($0.name)
  }

  /// How a run ended and in which state.
  struct End: Equatable {
    var exit: ProgramExit
    var count: UInt64
    var output: String
    var hash: StateHash

    init(_ rig: ProgramRig) {
      exit = rig.run()
      count = rig.machine.hart.count
      output = String(decoding: rig.host.output + rig.host.errors, as: UTF8.self)
      hash = rig.machine.stateHash()
    }
  }

  /// `number` counts of a run of `end` instructions, ascending, that follow from `seed`.
  static func stops(_ number: Int, before end: UInt64, seed: UInt64) -> [UInt64] {
    var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    let counts = (0..<number).map { _ in
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return 1 + state % max(end - 1, 1)
    }
    return Set(counts).sorted()
  }

  @Test(arguments: programs, CacheModel.allCases)
  func sameEndFromEverySnapshot(_ program: ImageCase, _ caches: CacheModel) throws {
    let expected = End(try ProgramRig(program, caches: caches))
    let rig = try ProgramRig(program, caches: caches, engine: .jit)
    var snapshots: [(MachineSnapshot, StateHash)] = []
    let seed = UInt64(program.name.utf8.reduce(1) { $0 &* 31 &+ UInt64($1) })
    for count in Self.stops(6, before: expected.count, seed: seed) {
      #expect(rig.machine.run(limit: count) == .limit)
      let snapshot = try rig.machine.snapshot()
      #expect(snapshot.count == count)
      snapshots.append((snapshot, rig.machine.stateHash()))
    }
    #expect(End(rig) == expected, "taking snapshots changed the run")
    // The same machine, in any order.
    for index in [3, 0, 5, 1, 4, 2] where index < snapshots.count {
      try rig.machine.restore(snapshots[index].0)
      #expect(rig.machine.stateHash() == snapshots[index].1, "snapshot \(index)")
      #expect(End(rig) == expected, "snapshot \(index)")
    }
    // Another machine, by way of bytes, each the parent of the next; and the other engine.
    var parent: MachineSnapshot?
    for (index, (snapshot, hash)) in snapshots.enumerated() {
      let bytes = snapshot.encoded(since: index == 0 ? nil : snapshots[index - 1].0)
      let decoded = try MachineSnapshot(decoding: bytes, parent: parent)
      parent = decoded
      let other = try ProgramRig(
        program, caches: caches, engine: index % 2 == 0 ? .interpreter : .jit)
      try other.machine.restore(decoded)
      #expect(other.machine.stateHash() == hash, "decoded snapshot \(index)")
      #expect(End(other) == expected, "decoded snapshot \(index)")
    }
  }

  @Test func nothingIsForgotten() throws {
    var findings: Set<String> = []
    var seen: Set<String> = []
    for program in Self.programs {
      let rig = try ProgramRig(program, caches: .coherent)
      while true {
        let audit = rig.machine.audit()
        findings.formUnion(audit.findings)
        seen.formUnion(audit.seen)
        guard rig.machine.run(limit: rig.machine.hart.count + 20_000) == .limit else { break }
      }
    }
    #expect(findings.sorted() == [])
    let known = ["Task", "Process", "AddressSpace", "VMA", "Pipe", "Timer", "Dentry", "ProcText"]
    #expect(seen.isSuperset(of: known), "\(seen.sorted())")
  }
}
