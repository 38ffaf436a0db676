import Engine
import GuestKernel
import Machine
import Testing

@testable import Probes

/// Has the program's `getpid` calls run the kernel's own probe targets: each returns the number of
/// wrong results, so the program exits with 0.
extension Rig {
  func runTargets() throws {
    guard let entry = machine.kernel.symbol("run_probe_targets") else { throw Missing() }
    _ = try probes.registerKprobe(
      KprobeRequest(.symbol("__riscv_sys_getpid"), pre: { _ in .redirect(entry) }))
  }
}

struct Missing: Error {}

@Suite struct KprobeTests {
  @Test func withoutProbesTheProgramAddsUpItsPids() throws {
    #expect(try Rig("probes.elf", ["k"]).run() == .ended(.exited(10)))
  }

  @Test func redirectRunsAnotherFunction() throws {
    let rig = try Rig("probes.elf", ["k"])
    try rig.runTargets()
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
  }

  @Test(arguments: [CacheModel.coherent, .architectural])
  func preAndPostSeeEveryCall(model: CacheModel) throws {
    let rig = try Rig("probes.elf", ["k"], cacheModel: model)
    try rig.runTargets()
    var arguments: [UInt64] = []
    var nexts: [UInt64] = []
    let probe = try rig.probes.registerKprobe(
      KprobeRequest(
        .symbol("probe_leaf"),
        pre: {
          arguments.append($0.argument(1) ?? 0)
          return .continue
        }, post: { nexts.append($0.pc) }))
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(arguments == Array(repeating: 27, count: 10))
    #expect(probe.hits == 10)
    #expect(probe.nmissed == 0)
    #expect(nexts.allSatisfy { $0 == probe.address &+ 2 || $0 == probe.address &+ 4 })
    #expect(nexts.count == 10)
  }

  @Test func everyInstructionOfTheTargetsCanBeProbed() throws {
    for model in [CacheModel.coherent, .architectural] {
      let rig = try Rig("probes.elf", ["k"], cacheModel: model)
      try rig.runTargets()
      let (probed, refused) = try rig.probeText("kprobe_target", "run_probe_targets")
      #expect(probed.count > 100)
      #expect(refused.isEmpty)
      #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
      #expect(probed.allSatisfy { $0.nmissed == 0 })
      #expect(probed.filter { $0.hits > 0 }.count > 90)
    }
  }
}

extension Rig {
  /// Probes each instruction from one symbol up to another one.
  func probeText(_ first: String, _ last: String) throws -> ([Kprobe], [ProbeError]) {
    guard let start = machine.kernel.symbol(first), let end = machine.kernel.symbol(last) else {
      throw Missing()
    }
    var probed: [Kprobe] = []
    var refused: [ProbeError] = []
    for address in stride(from: start, to: end, by: 2) {
      do {
        probed.append(
          try probes.registerKprobe(
            KprobeRequest(.address(address), pre: { _ in .continue }, post: { _ in })))
      } catch where error.errno == .EILSEQ {
        continue
      } catch {
        refused.append(error)
      }
    }
    return (probed, refused)
  }
}
