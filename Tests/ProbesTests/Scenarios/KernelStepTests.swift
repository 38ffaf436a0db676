import Engine
import GuestKernel
import Machine
import Testing

@testable import Probes

/// What happens to an instruction while it runs in its slot.
@Suite struct KernelStepTests {
  @Test(
    "U49 a fault in the slot is one of the probed instruction, be its own path probed or not",
    arguments: [false, true], guests)
  func fault(isPathProbed: Bool, guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (String?, UInt64, Rig) {
      let rig = try Rig.targets(guest, legacy)
      let (address, base, bad) = try rig.faultingLoad()
      _ = try rig.probes.registerKprobe(
        KprobeRequest(
          .address(address),
          pre: {
            $0[register: base] = bad
            return .continue
          }))
      // Its own trap shows that it has come back; not that the one before has.
      if isPathProbed { try rig.kprobe("handle_page_fault", post: { _ in }) }
      return (rig.panic(rig.run(limit: Rig.enough)), address, rig)
    }
    let (legacy, _, _) = try run(.faultsInSlot)
    #expect(legacy?.contains("kprobe_insn_slot") == true)
    let (right, address, rig) = try run([])
    let text = try #require(right)
    #expect(text.contains("pc 0x" + String(address, radix: 16) + " (probe_pcrel"))
    // The hart's probes are idle again: the kernel could go on.
    guard case .idle = rig.probes.kprobes.state else {
      Issue.record("not idle")
      return
    }
  }

  @Test(
    "U49 an interrupt that is pending waits until the step is over",
    arguments: [CacheModel.coherent, .architectural], guests)
  func interrupts(model: CacheModel, guest: ProgramArchitecture) throws {
    struct Seen {
      var pcs: [UInt64] = []
      var next: UInt64 = 0
      var missed: UInt64 = 0
      var posts = 0
    }
    let (register, enabled) = GuestFacts.of(guest).interruptFlag
    func run(_ legacy: LegacyPolicies) throws -> Seen {
      let rig = try Rig.targets(guest, legacy, model)
      var seen = Seen()
      let insns = try rig.insns("probe_leaf").filter {
        $0.verdict == .outOfLine
      }
      guard let insn = insns.first else { throw Missing() }
      seen.next = insn.address &+ insn.length
      guard let status = rig.probes.isa.registerOffset(register) else { throw Missing() }
      var isFirst = true
      _ = try rig.probes.registerKprobe(
        KprobeRequest(
          .address(insn.address),
          pre: {
            guard isFirst else { return .continue }
            isFirst = false
            // This kernel runs with interrupts disabled; here they are enabled for once.
            $0.setRegister(register, ($0.register(register) ?? 0) | enabled)
            rig.machine.kernel.interruptHart()
            return .continue
          }, post: { _ in seen.posts += 1 }))
      let irq = try rig.kprobe(
        rig.facts.interruptHandler,
        pre: { context in
          let regs = context.argument(1) ?? 0
          guard var frame = context.readKernel(regs, rig.machine.kernel.isa.ptRegs.size),
            !rig.machine.kernel.isa.isUser(frame)
          else { return .continue }
          seen.pcs.append(frame.load64(rig.machine.kernel.isa.ptRegs.pc))
          frame.store64(status, frame.load64(status) & ~enabled)
          context.writeKernel(regs, frame)
          return .continue
        })
      let exit = rig.run(limit: Rig.enough)
      seen.missed = irq.nmissed
      if legacy.isEmpty { #expect(exit == Rig.allRight) }
      return seen
    }
    // Taken with the pc in the slot, where a probe of the handler is missed.
    let legacy = try run(.interruptsInSlot)
    #expect(legacy.missed == 1)
    let right = try run([])
    #expect(right.missed == 0)
    #expect(right.pcs == [right.next])
    #expect(right.posts == 10)
  }

  @Test("U49 interrupts are as they were after the step, enabled or not", arguments: guests)
  func interruptState(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let insn = try #require(rig.insns("probe_stacked").first { $0.name == rig.facts.storeName })
    var before: [UInt64?] = []
    var after: [UInt64?] = []
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(insn.address),
        pre: {
          before.append($0.register(rig.facts.interruptFlag.register))
          return .continue
        }, post: { after.append($0.register(rig.facts.interruptFlag.register)) }))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(before == after && before.count >= 10)
  }

  @Test("U49 a probe hit while another one's instruction is being stepped", arguments: guests)
  func hitWhileStepping(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let (address, base, bad) = try rig.faultingLoad()
    var kept: UInt64?
    var posts = 0
    // handle_page_fault and what it calls run while the slot's instruction is not done.
    let path = try ["handle_page_fault", "handle_mm_fault"].map { try rig.kprobe($0) }
    let probe = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        pre: {
          if kept == nil {
            kept = $0[register: base]
            $0[register: base] = bad
          }
          return .continue
        }, post: { _ in posts += 1 },
        fault: { context, _ in
          context[register: base] = kept ?? 0
          return true
        }))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(path.map(\.nmissed) == [1, 1])
    #expect(probe.hits == 11 && posts == 10)
  }
}
