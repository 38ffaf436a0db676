import Engine
import GuestKernel
import Machine
import RISCV
import Testing

@testable import Probes

/// A hart without compressed instructions, with a kernel and a program that have none.
@Suite struct KernelWithoutCompressedTests {
  private func rig(
    _ mode: String = "k", legacy: LegacyPolicies = [], facts: RISCVProbeISA? = nil
  ) throws -> Rig {
    let rig = try Rig("probes-rv64g.elf", [mode], compressed: false, facts: facts)
    rig.probes.legacy = legacy
    if mode == "k" {
      let from = try rig.symbol("__riscv_sys_getpid")
      let distance = try rig.symbol("run_probe_targets") &- from
      #expect(
        rig.machine.kernel.writeKernel(from, rig.facts.kernelJump(Int64(bitPattern: distance))))
    }
    return rig
  }

  @Test("U39 a kprobe on a machine without C")
  func kprobe() throws {
    // A short break is no instruction of this hart.
    let legacy = try rig(legacy: .shortBreaks, facts: RISCVProbeISA())
    let probe = try legacy.kprobe("probe_leaf")
    let text = legacy.panic(legacy.run(limit: Rig.enough))
    #expect(text?.contains("probe_leaf+0x0") == true && probe.hits == 0, "\(text ?? "")")

    let rig = try rig()
    let right = try rig.kprobe("probe_leaf")
    #expect(rig.text(right.address) == [0x73, 0, 0x10, 0])
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(right.hits == 10)
  }

  @Test("U39 a uprobe on a machine without C")
  func uprobe() throws {
    func run(_ facts: RISCVProbeISA?) throws -> (ProgramExit, UInt64) {
      let rig = try rig("a", facts: facts)
      let events = ProgramProbes(rig.machine, subsystem: rig.probes)
      try events.tracer.add("p:e ./probes-rv64g.elf:leaf")
      return (rig.run(limit: 10_000_000), events.tracer.hits.rows[0].hits)
    }
    let plain = try rig("a").run(limit: 10_000_000)
    #expect(plain == Rig.allRight)
    // The two bytes that a hart with C would take for a break kill the program.
    let legacy = try run(RISCVProbeISA())
    #expect(legacy.0 != plain && legacy.1 == 0)
    let right = try run(nil)
    #expect(right.0 == plain && right.1 == 1)
  }

  @Test("U39 every instruction of the kernel's targets, and of the program", arguments: ["k", "a"])
  func everything(_ mode: String) throws {
    let plain = try rig(mode).outcome(limit: 20_000_000)
    let rig = try rig(mode)
    if mode == "k" {
      let (probed, refused) = try rig.probeText("kprobe_target", "run_probe_targets")
      #expect(probed.count > 100 && probed.allSatisfy { $0.address % 4 == 0 })
      // The exclusive loop.
      #expect(refused.allSatisfy { $0.reason.contains("probe_exclusive") })
      _ = try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol("probe_fib"), maxactive: 20, ret: { _ in }))
    } else {
      let inode = try rig.machine.kernel.vfs.resolve(
        Path(rig.path), rig.machine.kernel.vfs.makeContext()
      ).inode
      var count = 0
      for offset in stride(from: UInt64(0x1000), to: 0x1400, by: 4) {
        let request = UprobeRequest(.inode(inode), offset: offset, entry: { _ in .continue })
        if (try? rig.probes.registerUprobe(request)) != nil { count += 1 }
      }
      #expect(count > 100)
    }
    #expect(rig.outcome(limit: 20_000_000) == plain, "\(rig.messages)")
  }

  @Test("U39 addresses are multiples of four")
  func alignment() throws {
    let rig = try rig()
    let leaf = try rig.symbol("probe_leaf")
    for offset in UInt64(1)..<12 {
      let expected: Errno? = offset % 4 == 0 ? nil : .EILSEQ
      #expect(rig.refusal(.address(leaf &+ offset))?.errno == expected)
    }
    #expect(rig.probes.isa.length([1, 0]) == nil)
    #expect(rig.probes.isa.length([1, 0, 0, 0]) == 4)
    let known = rig.probes.isa.classify([1, 0, 0, 0], .kernel)
    #expect(known?.verdict == .refuse("not an instruction"))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
  }

  @Test("U39 a simulated jump to what is no multiple of four traps at the jump")
  func misaligned() throws {
    for isProbed in [false, true] {
      let rig = try rig()
      let jump = try #require(
        try rig.insns("probe_leaf").first { $0.insn?.op == .jalr && $0.insn?.rd == 0 })
      if isProbed {
        _ = try rig.probes.registerKprobe(KprobeRequest(.address(jump.address)))
      }
      // Its function returns to two bytes behind where it should.
      let entry = try rig.kprobe(
        "probe_leaf",
        pre: {
          $0.setRegister("ra", ($0.register("ra") ?? 0) &+ 2)
          return .continue
        })
      let text = try #require(rig.panic(rig.run(limit: Rig.enough)))
      #expect(text.contains("pc 0x" + String(jump.address, radix: 16)), "\(text)")
      #expect(entry.hits == 1)
    }
  }

  @Test func theHartHasNoC() throws {
    // The program of the machine with C begins with a compressed instruction, or soon has one.
    let rig = try Rig("probes.elf", ["a"], compressed: false)
    #expect(rig.run(limit: 1_000_000) != Rig.allRight)
    let isa = RV64(compressed: false)
    #expect(isa.register("misa", rig.machine.hart).map { $0 >> 2 & 1 } == 0)
    #expect(RV64().register("misa", rig.machine.hart).map { $0 >> 2 & 1 } == 1)
  }
}
