import Engine
import GuestKernel
import Machine
import Testing
import X86

@testable import Probes

/// Has the program's `getpid` calls run the kernel's own probe targets: each returns the number of
/// wrong results, so the program exits with 0.
extension Rig {
  func runTargets() throws {
    guard let entry = machine.kernel.symbol("run_probe_targets") else { throw Missing() }
    _ = try probes.registerKprobe(
      KprobeRequest(.symbol(syscall("getpid")), pre: { _ in .redirect(entry) }))
  }
}

struct Missing: Error {}

@Suite struct KprobeTests {
  @Test(arguments: ProgramArchitecture.allCases)
  func withoutProbesTheProgramAddsUpItsPids(guest: ProgramArchitecture) throws {
    #expect(try Rig("probes.elf", ["k"], guest: guest).run() == .ended(.exited(10)))
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func redirectRunsAnotherFunction(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    try rig.runTargets()
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
  }

  @Test(arguments: models, ProgramArchitecture.allCases)
  func preAndPostSeeEveryCall(model: CacheModel, guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], cacheModel: model, guest: guest)
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
    let length = try #require(rig.probes.insn(of: probe)?.length)
    #expect(nexts.allSatisfy { $0 == probe.address &+ UInt64(length) })
    #expect(nexts.count == 10)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func everyInstructionOfTheTargetsCanBeProbed(guest: ProgramArchitecture) throws {
    for model in [CacheModel.coherent, .architectural] {
      let rig = try Rig("probes.elf", ["k"], cacheModel: model, guest: guest)
      try rig.runTargets()
      let (probed, refused) = try rig.probeText("kprobe_target", "run_probe_targets")
      #expect(probed.count > 100)
      // `lr`, `sc`, and the branch between them; x86-64 has no such sequence.
      #expect(refused.count == (guest == .riscv64 ? 3 : 0))
      #expect(refused.allSatisfy { $0.reason.hasPrefix("probe_exclusive+") })
      #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
      #expect(probed.allSatisfy { $0.nmissed == 0 })
      #expect(probed.filter { $0.hits > 0 }.count > 90)
    }
  }

  private func errno(_ rig: Rig, _ place: KernelPlace) -> Errno? {
    do {
      _ = try rig.probes.registerKprobe(KprobeRequest(place))
      return nil
    } catch { return error.errno }
  }

  @Test func placesThatTakeNoProbe() throws {
    let rig = try Rig("probes.elf", ["k"])
    #expect(errno(rig, .symbol("no_such_symbol")) == .ENOENT)
    for name in [
      "gate_call", "handle_exception", "do_trap_break", "do_trap_error", "no_context", "_start",
      "kprobe_insn_slots", "probe_targets", "layout_task_flags", "__copy_user_probe",
    ] {
      let place = name == "__copy_user_probe" ? 4 : 0
      let result = errno(rig, .symbol(name, offset: UInt64(place)))
      #expect(result == .EINVAL || result == .ENOENT, "\(name) \(String(describing: result))")
    }
    #expect(errno(rig, .address(0)) == .ENOENT)
    #expect(errno(rig, .address(.max)) == .ENOENT)
    // `wfi` and CSR accesses can't be displaced.
    let refused = try rig.probeText("arch_cpu_idle", "do_idle").1
    #expect(!refused.isEmpty && refused.allSatisfy { $0.errno == .EINVAL })
  }

  @Test(arguments: models, ProgramArchitecture.allCases)
  func everyInstructionOfTheKernelAtOnce(model: CacheModel, guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["f"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["f"], cacheModel: model, guest: guest)
    let (probed, refused) = try rig.probeText("__kprobes_text_end", "_etext")
    #expect(refused.allSatisfy { $0.errno == .EINVAL || $0.errno == .EOPNOTSUPP })
    #expect(refused.contains { $0.errno == .EOPNOTSUPP } == (guest == .x86_64))
    // More than a page of slots holds.
    #expect(probed.count > 5000)
    #expect(rig.probes.kprobes.slots.inUse > 4096 / 8)
    #expect(rig.outcome() == plain, "\(rig.messages)")
    #expect(probed.filter { $0.hits > 0 }.count > 250)
    for probe in probed { rig.probes.unregister(probe) }
    #expect(rig.probes.kprobes.slots.inUse == 0)
  }

  @Test("x86-64: the kernel's copies may end by TF instead of a break")
  func theKernelIsSingleStepped() throws {
    let plain = try Rig("probes.elf", ["f"], guest: .x86_64).outcome()
    let facts = X86ProbeISA(kernelStep: .singleStep)
    let rig = try Rig("probes.elf", ["f"], facts: facts, guest: .x86_64)
    let (probed, _) = try rig.probeText("__kprobes_text_end", "_etext")
    #expect(rig.outcome() == plain, "\(rig.messages)")
    #expect(probed.filter { $0.hits > 0 }.count > 250)
    #expect(probed.allSatisfy { $0.nmissed == 0 })
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aProbeSucceedsExactlyAtInstructionBoundaries(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    let start = try #require(rig.machine.kernel.symbol("probe_leaf"))
    let end = try #require(rig.machine.kernel.symbol("probe_pcrel"))
    var boundaries: Set<UInt64> = []
    var at = start
    while at < end {
      boundaries.insert(at)
      let bytes = try #require(rig.machine.kernel.readKernel(at, rig.probes.isa.maxInsnLength))
      at &+= UInt64(try #require(rig.probes.isa.length(bytes)))
    }
    for address in start..<end {
      let result = errno(rig, .address(address))
      #expect(result == (boundaries.contains(address) ? nil : .EILSEQ))
    }
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func disablingRestoresTheTextAndEnablingArmsIt(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    let address = try #require(rig.machine.kernel.symbol("probe_leaf"))
    func text() -> [UInt8]? { rig.machine.kernel.readKernel(address, 4) }
    let before = text()
    let one = try rig.probes.registerKprobe(KprobeRequest(.address(address)))
    let two = try rig.probes.registerKprobe(KprobeRequest(.address(address)))
    #expect(text() != before)
    try rig.probes.setEnabled(one, false)
    #expect(text() != before)
    try rig.probes.setEnabled(two, false)
    #expect(text() == before)
    try rig.probes.setEnabled(one, true)
    #expect(text() != before)
    rig.probes.unregister(one)
    #expect(text() == before)
    rig.probes.unregister(two)
    rig.probes.unregister(two)
    #expect(text() == before)
    #expect(throws: ProbeError.self) { try rig.probes.setEnabled(one, true) }
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func severalProbesRunNewestFirstUpToTheOneThatTakesOver(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    try rig.runTargets()
    var order: [Int] = []
    for number in 1...3 {
      _ = try rig.probes.registerKprobe(
        KprobeRequest(
          .symbol("kprobe_target2"),
          pre: {
            order.append(number)
            guard number == 2 else { return .continue }
            // As if the function returned 43 at once.
            return $0.overrideFunction(returning: 43)
          }, post: { _ in order.append(-number) }))
    }
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(Array(order.prefix(4)) == [3, 2, 3, 2])
    #expect(!order.contains { $0 < 0 })
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aFaultInTheSlotIsOneOfTheProbedInstruction(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    try rig.runTargets()
    // A load, whose base the handler spoils.
    let (address, base, spoiled) = try rig.faultingLoad()
    var pcs: [UInt64] = []
    var kept: UInt64 = 0
    var faults = 0
    let probe = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        pre: {
          if faults == 0 {
            kept = $0[register: base]
            $0[register: base] = spoiled
          }
          return .continue
        },
        fault: { context, fault in
          faults += 1
          pcs.append(context.pc)
          #expect(fault < 4096)
          context[register: base] = kept
          return true
        }))
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(pcs == [address])
    #expect(faults == 1)
    // The handler ran twice for the instruction that was tried again.
    #expect(probe.hits == 11)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aFaultThatNobodyHandlesIsReportedAtTheProbedInstruction(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    try rig.runTargets()
    let (address, base, spoiled) = try rig.faultingLoad()
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        pre: {
          $0[register: base] = spoiled
          return .continue
        }))
    guard case .ended(.panicked(let text)) = rig.run() else {
      Issue.record("no panic")
      return
    }
    #expect(text.contains(String(address, radix: 16)), "\(text)")
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aProbeOnTheFaultPathIsMissedWhileAnotherSteps(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    try rig.runTargets()
    let (address, base, spoiled) = try rig.faultingLoad()
    var isArmed = true
    var kept: UInt64 = 0
    let nested = try rig.probes.registerKprobe(KprobeRequest(.symbol("handle_mm_fault")))
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        pre: {
          if isArmed {
            kept = $0[register: base]
            $0[register: base] = spoiled
          }
          return .continue
        },
        fault: { context, _ in
          isArmed = false
          context[register: base] = kept
          return true
        }))
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(nested.nmissed == 1)
  }

  @Test func breakingTheFetchSynchronisationFails() throws {
    func hits(_ legacy: LegacyPolicies, _ model: CacheModel) throws -> UInt64 {
      let rig = try Rig("probes.elf", ["k"], cacheModel: model)
      var calls = 0
      var probe: Kprobe?
      // The third call of the program registers a probe on what the first two have run.
      _ = try rig.probes.registerKprobe(
        KprobeRequest(
          .symbol("__riscv_sys_getpid"),
          pre: { _ in
            calls += 1
            if calls == 3 {
              rig.probes.legacy = legacy
              probe = try? rig.probes.registerKprobe(KprobeRequest(.symbol("gate_syscall")))
            }
            return .continue
          }))
      #expect(rig.run() == .ended(.exited(10)))
      return try #require(probe).hits
    }
    #expect(try hits([], .coherent) >= 8)
    #expect(try hits([], .architectural) >= 8)
    #expect(try hits(.noFetchSynchronisation, .architectural) == 0)
  }
}

extension Rig {
  /// The first load through a register in a function, and the number of that register.
  func load(in function: String) throws -> (UInt64, Int) {
    guard var at = machine.kernel.symbol(function) else { throw Missing() }
    for _ in 0..<40 {
      guard let bytes = machine.kernel.readKernel(at, 4) else { break }
      let bits = bytes.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      if bits & 0x7f == 0x03 { return (at, Int(bits >> 15 & 31)) }
      // c.lw and c.ld
      if bits & 3 == 0, bits >> 13 & 7 == 2 || bits >> 13 & 7 == 3 {
        return (at, 8 + Int(bits >> 7 & 7))
      }
      at &+= bits & 3 == 3 ? 4 : 2
    }
    throw Missing()
  }

  /// A load through a register in probe_pcrel, the number of that register, and what has the load
  /// fault near zero.
  func faultingLoad() throws -> (UInt64, Int, UInt64) {
    guard guest == .riscv64 else { return try indexedLoad() }
    let (address, base) = try load(in: "probe_pcrel")
    return (address, base, 64)
  }

  private func indexedLoad() throws -> (UInt64, Int, UInt64) {
    guard var at = machine.kernel.symbol("probe_pcrel") else { throw Missing() }
    for _ in 0..<40 {
      guard let bytes = machine.kernel.readKernel(at, 15),
        case .insn(let insn) = X86.Decoder.decode(bytes)
      else { break }
      if insn.hasMemory, insn.base == X86.Insn.none, insn.index < 16 {
        // This index leads to address 64.
        let spoiled = (64 &- UInt64(bitPattern: insn.disp)) >> UInt64(insn.scale)
        return (at, Int(insn.index), spoiled)
      }
      at &+= UInt64(insn.length)
    }
    throw Missing()
  }

  /// Probes each instruction from one symbol up to another one.
  func probeText(
    _ first: String, _ last: String, hasPost: Bool = true
  ) throws -> ([Kprobe], [ProbeError]) {
    guard let start = machine.kernel.symbol(first), let end = machine.kernel.symbol(last) else {
      throw Missing()
    }
    var probed: [Kprobe] = []
    var refused: [ProbeError] = []
    var next = start
    while next < end {
      let address = next
      let bytes = machine.kernel.readKernel(address, probes.isa.maxInsnLength) ?? []
      next &+= UInt64(probes.isa.length(bytes) ?? Int(probes.isa.insnAlignment))
      do {
        probed.append(
          try probes.registerKprobe(
            KprobeRequest(
              .address(address), pre: { _ in .continue }, post: hasPost ? { _ in } : nil)))
      } catch {
        refused.append(error)
      }
    }
    return (probed, refused)
  }
}
