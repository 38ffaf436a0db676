import Engine
import GuestKernel
import Machine
import RISCV
import Testing

@testable import Probes

/// Instructions that do something else, or nothing right, where they don't belong.
@Suite struct KernelDisplacementTests {
  /// Whether one probe of an instruction is noticed by nobody but its handlers.
  private func isTransparent(
    _ guest: ProgramArchitecture, _ address: UInt64, _ legacy: LegacyPolicies
  ) throws -> Bool? {
    let rig = try Rig.targets(guest, legacy)
    var posts = 0
    var isSeen = false
    let slots = rig.slots
    let probe = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        post: {
          posts += 1
          // What a stack trace of the callee shows.
          if slots.contains($0.register("ra") ?? $0.loadMemory($0.sp, 8) ?? 0) { isSeen = true }
        }))
    let exit = rig.run(limit: Rig.enough)
    if probe.hits == 0 { return nil }
    return exit == Rig.allRight && posts == Int(probe.hits) && !isSeen
  }

  @Test("U35, U37 what depends on its own address: calls, jumps, auipc", arguments: guests)
  func relativeToPC(guest: ProgramArchitecture) throws {
    var groups: [String: [UInt64]] = [:]
    for insn in try Rig.targets(guest).targetInsns() where insn.verdict == .simulate {
      let name = guest == .riscv64 ? "\(insn.insn?.op ?? .addi)" : insn.name
      groups["\(name)\(insn.length)", default: []].append(insn.address)
    }
    for name in GuestFacts.of(guest).simulatedInKernel {
      #expect(groups[name] != nil, "no \(name) among the targets: \(groups.keys.sorted())")
    }
    for (name, places) in groups {
      var isShown = false
      for address in places.prefix(8) {
        guard try isTransparent(guest, address, [.everythingInSlot, .noReentryGuard]) == false
        else { continue }
        isShown = true
        #expect(try isTransparent(guest, address, []) == true, "\(name)")
        break
      }
      #expect(isShown, "\(name): \(places.count)")
    }
  }

  @Test("U38 lr and sc livelock when displaced; a probe between them is refused")
  func exclusives() throws {
    let insns = try Rig.targets(.riscv64).insns("probe_exclusive")
    let first = try #require(insns.firstIndex { $0.insn?.op == .lr_w })
    let last = try #require(insns.firstIndex { $0.insn?.op == .sc_w })
    #expect(first < last)
    for insn in insns[first...last] {
      let legacy = try Rig.targets(.riscv64, .anyInstruction)
      _ = try legacy.probes.registerKprobe(KprobeRequest(.address(insn.address)))
      #expect(legacy.run(limit: Rig.enough) == .limit, "\(insn)")

      let rig = try Rig.targets(.riscv64)
      #expect(rig.refusal(.address(insn.address))?.errno == .EINVAL, "\(insn)")
      #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    }
    // Before and behind it there may be probes.
    let rig = try Rig.targets(.riscv64)
    for insn in insns[..<first] + insns[(last + 1)...] {
      #expect(rig.refusal(.address(insn.address)) == nil, "\(insn)")
    }
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
  }

  @Test("U38 atomic memory operations run in the slot", arguments: guests)
  func atomics(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let names = rig.facts.atomics
    let places = try rig.targetInsns().filter { names.contains($0.name) }
    #expect(Set(places.map(\.name)) == names && places.count >= 3)
    let made = try places.map {
      try rig.probes.registerKprobe(KprobeRequest(.address($0.address)))
    }
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(made.allSatisfy { $0.hits == 10 && $0.nmissed == 0 })
  }

  @Test("U38 system instructions are refused")
  func system() throws {
    let ops: [RISCV.Op] = [
      .ecall, .ebreak, .sret, .mret, .wfi, .sfence_vma, .fence_i, .csrrw, .csrrs, .csrrc, .csrrwi,
      .csrrsi, .csrrci,
    ]
    let isa = RISCVProbeISA()
    for op in ops {
      let bits = try #require(Encoder.encode(Insn(op: op)), "\(op)")
      let bytes = (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt32($0))) }
      guard case .refuse = isa.classify(bytes)?.verdict else {
        Issue.record("\(op) is not refused")
        continue
      }
    }
    // In the kernel's own text, the call of the gate: displaced it never comes back.
    let gate = try #require(
      try Rig.targets(.riscv64).insns("gate_call").first { $0.insn?.op == .ecall })
    let legacy = try Rig.targets(.riscv64, [.anyInstruction, .noBlacklist])
    _ = try legacy.probes.registerKprobe(KprobeRequest(.address(gate.address)))
    #expect(legacy.run(limit: Rig.enough) != Rig.allRight)
    let rig = try Rig.targets(.riscv64)
    #expect(rig.refusal(.address(gate.address))?.errno == .EINVAL)
    for insn in try rig.insns("arch_cpu_idle") where insn.insn?.op == .wfi {
      #expect(rig.refusal(.address(insn.address))?.errno == .EINVAL)
    }
  }
}
