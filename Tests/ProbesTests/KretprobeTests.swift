import Engine
import GuestKernel
import Machine
import Testing

@testable import Probes

@Suite struct KretprobeTests {
  private func rig(_ model: CacheModel = .coherent) throws -> Rig {
    let rig = try Rig("probes.elf", ["k"], cacheModel: model)
    try rig.runTargets()
    return rig
  }

  @Test(arguments: [CacheModel.coherent, .architectural])
  func recursionReturnsNested(model: CacheModel) throws {
    let rig = try rig(model)
    var results: [UInt64] = []
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: 20,
        ret: {
          results.append($0.returnValue)
          #expect($0.pc == $0.returnAddress)
        }))
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    // fib(10) makes 177 calls.
    #expect(probe.hits == 177 * 10)
    #expect(results.last == 55)
    #expect(probe.nmissed == 0)
    #expect(probe.active == 0)
  }

  @Test func callsBeyondMaxactiveAreMissedAndNotHijacked() throws {
    let rig = try rig()
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("probe_fib"), maxactive: 2, ret: { _ in }))
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(probe.hits + probe.nmissed == 1770)
    #expect(probe.nmissed > 0)
  }

  @Test func tailCallsReturnTogether() throws {
    let rig = try rig()
    var order: [String] = []
    for name in ["probe_tail_first", "probe_tail_second", "probe_tail_third"] {
      _ = try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol(name), ret: { _ in order.append(name) }))
    }
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(
      Array(order.prefix(3)) == ["probe_tail_third", "probe_tail_second", "probe_tail_first"])
    #expect(order.count == 30)
  }

  @Test func anEntryHandlerCanRefuseAndData() throws {
    let rig = try rig()
    final class Argument {
      let value: UInt64
      init(_ value: UInt64) { self.value = value }
    }
    var seen: Set<UInt64> = []
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: 20,
        entry: {
          $0.data = Argument($0.argument(1) ?? 0)
          return $0.argument(1) == 5
        }, ret: { seen.insert(($0.data as? Argument)?.value ?? 0) }))
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(seen == [5])
    #expect(probe.hits == 80)
  }

  @Test func unregisteredWhileCallsAreUnderWay() throws {
    let rig = try rig()
    var own: Kretprobe?
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: 20,
        ret: { _ in if let own, own.hits == 1 { rig.probes.unregister(own) } }))
    own = probe
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(probe.hits == 1)
  }

  @Test func aHandlerCanChangeTheResult() throws {
    let rig = try Rig("probes.elf", ["k"])
    _ = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("__riscv_sys_getpid"), ret: { $0.returnValue = 4 }))
    #expect(rig.run() == .ended(.exited(40)), "\(rig.messages)")
  }

  @Test func functionsThatSwitchTasksReturnToTheirCallers() throws {
    let plain = try Rig("probes.elf", ["f"]).outcome()
    for name in ["schedule", "__schedule", "__switch_to", "do_exit", "kernel_clone"] {
      let rig = try Rig("probes.elf", ["f"])
      let probe = try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol(name), ret: { _ in }))
      #expect(rig.outcome() == plain, "\(name): \(rig.messages)")
      #expect(probe.kprobe.hits > 0)
    }
  }

  @Test func onlyEntriesHaveReturns() throws {
    let rig = try rig()
    #expect(throws: ProbeError.self) {
      try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol("probe_fib", offset: 2), ret: { _ in }))
    }
  }
}
