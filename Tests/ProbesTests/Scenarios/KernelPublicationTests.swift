import Engine
import GuestKernel
import Machine
import RISCV
import Testing

@testable import Probes

/// The order in which breaks, slots and the table appear and go, and whose a break is.
@Suite struct KernelPublicationTests {
  /// Stops with the pc in the slot of a probe on `probe_leaf`.
  private func inSlot(
    _ guest: ProgramArchitecture, _ legacy: LegacyPolicies
  ) throws -> (Rig, Kprobe) {
    let rig = try Rig.targets(guest, legacy)
    let first = try #require(
      rig.insns("probe_leaf").first {
        $0.verdict == .outOfLine
      })
    let probe = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(first.address),
        pre: { [unowned rig] _ in
          rig.stop()
          return .continue
        }))
    #expect(rig.run(limit: Rig.enough) == .interrupted)
    #expect(rig.step { rig.slots.contains($0) })
    return (rig, probe)
  }

  @Test("U29 the pc is in a slot that is taken away and asked for", arguments: guests)
  func parkedInSlot(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> ProgramExit {
      let (rig, probe) = try inSlot(guest, legacy)
      rig.probes.unregister(probe)
      // Gets the same slot if it is free: its own instruction, which jumps.
      let other = try #require(
        rig.insns("probe_stacked").first {
          $0.verdict == .outOfLine
        })
      let second = try rig.probes.registerKprobe(KprobeRequest(.address(other.address)))
      let exit = rig.goOn()
      if legacy.isEmpty { #expect(second.hits == 10 && second.nmissed == 0) }
      return exit
    }
    // The instruction of the second probe was run in place of that of the first.
    #expect(try run(.slotFreedAtOnce) != Rig.allRight)
    #expect(try run([]) == Rig.allRight)
  }

  @Test(
    "U29 a probe taken away at each instruction of its hit",
    arguments: [CacheModel.coherent, .architectural], guests)
  func everyMoment(model: CacheModel, guest: ProgramArchitecture) throws {
    var sawSlot = false
    var isOver = false
    var moment = 0
    while !isOver {
      let rig = try Rig.targets(guest, [], model)
      let address = try #require(
        rig.insns("probe_stacked").first { $0.name == rig.facts.storeName }
      ).address
      var isFirst = true
      let probe = try rig.probes.registerKprobe(
        KprobeRequest(
          .address(address),
          pre: { [unowned rig] _ in
            if isFirst { rig.stop() }
            isFirst = false
            return .continue
          }))
      #expect(rig.run(limit: Rig.enough) == .interrupted)
      for _ in 0..<moment { rig.step() }
      let pc = rig.machine.hart.pc
      if rig.slots.contains(pc) { sawSlot = true }
      // Back behind the probed instruction: it is over.
      isOver = pc &- address < 64
      rig.probes.unregister(probe)
      let second = try rig.kprobe("probe_leaf")
      #expect(rig.goOn() == Rig.allRight, "moment \(moment)")
      #expect(probe.hits == 1 && second.nmissed == 0)
      moment += guest == .riscv64 ? 3 : 1
      guard moment < 400 else { break }
    }
    #expect(sawSlot && isOver && moment > 20)
  }

  @Test(
    "U29 a probe registered at each instruction of another one's hit",
    arguments: [CacheModel.coherent, .architectural], guests)
  func everyMomentOfRegistration(model: CacheModel, guest: ProgramArchitecture) throws {
    for moment in stride(from: 0, to: 110, by: 9) {
      let rig = try Rig.targets(guest, [], model)
      var isFirst = true
      try rig.kprobe(
        "probe_leaf",
        pre: { [unowned rig] _ in
          if isFirst { rig.stop() }
          isFirst = false
          return .continue
        })
      #expect(rig.run(limit: Rig.enough) == .interrupted)
      for _ in 0..<moment { rig.step() }
      let (probed, _) = try rig.probeText("probe_leaf", "probe_pcrel")
      #expect(rig.goOn() == Rig.allRight, "moment \(moment)")
      let code = Set(try rig.insns("probe_leaf").map(\.address))
      #expect(probed.allSatisfy { $0.hits >= 9 || !code.contains($0.address) })
    }
  }

  @Test("U47 the break is published after its slot and its place in the table", arguments: guests)
  func publishedFirst(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> ProgramExit {
      let rig = try Rig.targets(guest, legacy)
      try rig.kprobe("probe_leaf")
      return rig.run(limit: Rig.enough)
    }
    // The first hit is nobody's.
    let legacy = try run(.publishedFirst)
    #expect(legacy != Rig.allRight)
    #expect(try run([]) == Rig.allRight)
  }

  @Test("U47 the hart synchronises its fetch before it enters a slot that was used before")
  func slotSynchronised() throws {
    /// What `li` in a slot leaves in its register, where a handler put 77 before.
    func run(_ legacy: LegacyPolicies) throws -> [UInt64] {
      let rig = try Rig.targets(.riscv64, [], .architectural)
      func constant(_ function: String) throws -> KernelInsn {
        try #require(
          rig.insns(function).first {
            $0.length == 2 && $0.insn?.op == .addi && $0.insn?.rs1 == 0 && $0.insn?.rd != 0
          })
      }
      func probe(_ insn: KernelInsn, _ post: @escaping (UInt64) -> Void) throws -> Kprobe {
        let rd = Int(insn.insn?.rd ?? 0)
        return try rig.probes.registerKprobe(
          KprobeRequest(
            .address(insn.address),
            pre: {
              $0[register: rd] = 77
              return .continue
            }, post: { post($0[register: rd]) }))
      }
      let (one, other) = (try constant("probe_exclusive"), try constant("probe_leaf"))
      #expect(one.insn?.imm != other.insn?.imm || one.insn?.rd != other.insn?.rd)
      var first: Kprobe? = try probe(one) { #expect($0 == 5) }
      let slot = rig.probes.kprobes.points[one.address]?.slot
      var values: [UInt64] = []
      var round = 0
      // Before the second round's last targets the hart forgets all text; so it has fetched the slot
      // since, by the first probe, and not yet the function that is probed next.
      try rig.kprobe(
        "probe_stacked",
        pre: { _ in
          round += 1
          if round == 2 { rig.machine.kernel.instructionFlushNeeded = true }
          return .continue
        })
      try rig.kprobe(
        "kprobe_target2",
        pre: { _ in
          guard round == 2, let probe = first else { return .continue }
          rig.probes.legacy = legacy
          rig.probes.unregister(probe)
          first = nil
          return .continue
        })
      try rig.kprobe(
        "kretprobe_target",
        pre: { _ in
          if round == 2 { _ = try? probe(other) { values.append($0) } }
          return .continue
        })
      _ = rig.run(limit: Rig.enough)
      // It is the same slot.
      #expect(rig.probes.kprobes.points[other.address]?.slot == slot)
      return values
    }
    let legacy = try run(.noFetchSynchronisation)
    // The hart runs what the slot held before, until it synchronises for another reason.
    #expect(legacy.first == 77)
    let right = try run([])
    #expect(right.count == 8 && right.allSatisfy { $0 == 0 })
  }

  /// A break of the kernel's own in place of an instruction of a target.
  private func ownBreak(
    _ guest: ProgramArchitecture, _ legacy: LegacyPolicies, short: Bool
  ) throws -> (String?, UInt64) {
    let rig = try Rig.targets(guest, legacy)
    // A probe elsewhere, so that breaks are looked at.
    try rig.kprobe("probe_stacked")
    let insn = try #require(
      rig.insns("probe_pcrel").first { guest == .x86_64 || $0.length == (short ? 2 : 4) })
    let bytes = rig.facts.kernelBreak(insn.bytes)
    #expect(rig.machine.kernel.writeKernel(insn.address, bytes))
    return (rig.panic(rig.run(limit: Rig.enough)), insn.address)
  }

  @Test("U48 a break of the kernel that is no probe's", arguments: [false, true], guests)
  func unclaimed(short: Bool, guest: ProgramArchitecture) throws {
    let (legacy, place) = try ownBreak(guest, .unclaimedSkipsTwo, short: short)
    let name = String(place, radix: 16)
    // Two bytes on is the middle of a break of four bytes; or the kernel goes on as if nothing was.
    #expect(legacy?.contains(name) != true, "\(legacy ?? "")")
    if guest == .riscv64, !short {
      #expect(legacy?.contains(String(place &+ 2, radix: 16)) == true)
    }
    let (right, address) = try ownBreak(guest, [], short: short)
    let text = try #require(right)
    let pc = address &+ GuestFacts.of(guest).breakTrapOffset
    #expect(text.contains("pc 0x" + String(pc, radix: 16)), "\(text)")
  }

  @Test("U51 the guest can't write slots", arguments: guests)
  func slotsAreReadOnly(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, Bool) {
      let rig = try Rig.targets(guest, legacy)
      let probe = try rig.kprobe("probe_stacked")
      let slot = try #require(rig.probes.kprobes.points[probe.address]?.slot)
      let before = rig.text(slot, 8)
      // A stray store of the kernel.
      let clear = try rig.symbol("memset")
      var isDone = false
      try rig.kprobe(
        "probe_leaf",
        pre: {
          if isDone { return .continue }
          isDone = true
          $0.setArgument(1, slot)
          $0.setArgument(2, 0)
          $0.setArgument(3, 8)
          return .redirect(clear)
        })
      let exit = rig.run(limit: Rig.enough)
      return (exit, rig.text(slot, 8) == before)
    }
    let legacy = try run(.writableSlots)
    #expect(!legacy.1)
    #expect(legacy.0 != Rig.allRight)
    // The store faults, and the oops names it.
    let right = try run([])
    #expect(right.1)
    guard case .ended(.panicked(let text)) = right.0 else {
      Issue.record("no oops")
      return
    }
    #expect(text.contains("memset"), "\(text)")
  }

  @Test(
    "U51 no page of the kernel is both writable and executable, with every probe in place",
    arguments: guests)
  func pages(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    _ = try rig.probeText("__kprobes_text_end", "_etext")
    _ = try rig.probes.registerKretprobe(KretprobeRequest(.symbol("probe_leaf"), ret: { _ in }))
    #expect(rig.run(limit: 20_000_000) == Rig.allRight)
    let kernel = rig.machine.kernel
    var executable = 0
    func walk(_ table: UInt64, _ level: Int) {
      for index in 0..<512 {
        guard let bytes = rig.machine.ram.bytes(table &+ UInt64(index * 8), 8) else { return }
        switch kernel.isa.classify(bytes.load64(0), level: level) {
        case .table(let next): walk(next, level - 1)
        case .leaf(_, let protection, _, _):
          if protection.contains(.execute) {
            executable += 1
            #expect(!protection.contains(.write))
          }
        case .empty: break
        }
      }
    }
    walk(kernel.kernelRoot, kernel.isa.pageTableLevels - 1)
    #expect(executable > 20)
  }
}
