import Engine
import GuestKernel
import Machine
import Testing

@testable import Probes

@Suite struct KretprobeTests {
  private func rig(_ guest: ProgramArchitecture, _ model: CacheModel = .coherent) throws -> Rig {
    let rig = try Rig("probes.elf", ["k"], cacheModel: model, guest: guest)
    try rig.runTargets()
    return rig
  }

  @Test(arguments: models, ProgramArchitecture.allCases)
  func recursionReturnsNested(model: CacheModel, guest: ProgramArchitecture) throws {
    let rig = try rig(guest, model)
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

  @Test(arguments: ProgramArchitecture.allCases)
  func callsBeyondMaxactiveAreMissedAndNotHijacked(guest: ProgramArchitecture) throws {
    let rig = try rig(guest)
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("probe_fib"), maxactive: 2, ret: { _ in }))
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(probe.hits + probe.nmissed == 1770)
    #expect(probe.nmissed > 0)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func tailCallsReturnTogether(guest: ProgramArchitecture) throws {
    let rig = try rig(guest)
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

  @Test(arguments: ProgramArchitecture.allCases)
  func anEntryHandlerCanRefuseAndData(guest: ProgramArchitecture) throws {
    let rig = try rig(guest)
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

  @Test(arguments: ProgramArchitecture.allCases)
  func unregisteredWhileCallsAreUnderWay(guest: ProgramArchitecture) throws {
    let rig = try rig(guest)
    var own: Kretprobe?
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: 20,
        ret: { _ in if let own, own.hits == 1 { rig.probes.unregister(own) } }))
    own = probe
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(probe.hits == 1)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aHandlerCanChangeTheResult(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    _ = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol(rig.syscall("getpid")), ret: { $0.returnValue = 4 }))
    #expect(rig.run() == .ended(.exited(40)), "\(rig.messages)")
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func functionsThatSwitchTasksReturnToTheirCallers(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["f"], guest: guest).outcome()
    for name in ["schedule", "__schedule", "__switch_to", "do_exit", "kernel_wait4"] {
      let rig = try Rig("probes.elf", ["f"], guest: guest)
      let probe = try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol(name), ret: { _ in }))
      #expect(rig.outcome() == plain, "\(name): \(rig.messages)")
      #expect(probe.kprobe.hits > 0)
    }
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func onlyEntriesHaveReturns(guest: ProgramArchitecture) throws {
    let rig = try rig(guest)
    #expect(throws: ProbeError.self) {
      try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol("probe_fib", offset: 2), ret: { _ in }))
    }
  }
}
