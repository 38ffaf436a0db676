import Engine
import GuestKernel
import Machine
import RISCV
import Testing

@testable import Probes

/// The mechanics that toy implementations get wrong, as far as they are kernel probes' and RISC-V's.
@Suite struct KernelMechanicsTests {
  @Test(
    "M01 pc is the break's own address in the pre handler, the next one in the post handler",
    arguments: guests)
  func pcs(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    for insn in try rig.insns("probe_pcrel")
    where rig.refusal(.address(insn.address)) == nil && !["ret", "jr", "jalr"].contains(insn.name) {
      _ = try rig.probes.registerKprobe(
        KprobeRequest(
          .address(insn.address),
          pre: {
            #expect($0.pc == insn.address && $0.function == insn.address)
            return .continue
          }, post: { #expect($0.pc == insn.address &+ insn.length) }))
    }
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
  }

  @Test("M02 a slot is the instruction and a break, which ends the step", arguments: guests)
  func slots(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    var (same, moved) = (0, 0)
    for insn in try rig.targetInsns() {
      guard
        let probe = try? rig.probes.registerKprobe(
          KprobeRequest(.address(insn.address), post: { _ in })),
        let slot = rig.probes.kprobes.points[probe.address]?.slot
      else { continue }
      let text = rig.text(slot, insn.bytes.count + rig.facts.kernelSlotEnd.count)
      #expect(text.suffix(rig.facts.kernelSlotEnd.count) == rig.facts.kernelSlotEnd[...])
      if text.prefix(insn.bytes.count) == insn.bytes[...] { same += 1 } else { moved += 1 }
    }
    // What is relative to RIP has another displacement in its slot.
    #expect(same > 50 && (guest == .x86_64 ? 3...12 : 0...0).contains(moved))
    #expect(rig.run(limit: 20_000_000) == Rig.allRight)
  }

  @Test(
    "M03 an instruction that faults is tried again from the break, and pre runs twice",
    arguments: guests)
  func restart(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let (address, base, bad) = try rig.faultingLoad()
    var pres = 0
    var posts = 0
    var kept: UInt64?
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        pre: {
          pres += 1
          if pres == 1 {
            kept = $0[register: base]
            $0[register: base] = bad
          } else if pres == 2 {
            $0[register: base] = kept ?? 0
          }
          return .continue
        }, post: { _ in posts += 1 }, fault: { _, _ in true }))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(pres == 11 && posts == 10)
  }

  @Test(
    "M15 one level of re-entry: missed, stepped without handlers, and back to the first",
    arguments: guests)
  func reentry(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let inner = try rig.symbol("probe_stacked")
    var order: [String] = []
    let nested = try rig.kprobe(
      "probe_stacked",
      pre: { _ in
        order.append("inner")
        return .continue
      })
    _ = try rig.kprobe(
      "probe_leaf",
      pre: {
        order.append("pre")
        #expect(rig.hit(inner, within: $0))
        return .continue
      },
      post: {
        order.append("post")
        #expect(rig.hit(inner, within: $0))
      })
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(nested.hits == 10 && nested.nmissed == 20)
    #expect(Array(order.prefix(3)) == ["pre", "post", "inner"])
  }

  @Test("M15 a return handler is a first level too", arguments: guests)
  func reentryFromReturn(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let nested = try rig.kprobe("probe_stacked")
    let inner = try rig.symbol("probe_stacked")
    _ = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("probe_leaf"), ret: { #expect(rig.hit(inner, within: $0)) }))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(nested.hits == 10 && nested.nmissed == 10)
  }

  @Test("M15 a third level is fatal, and says where", arguments: guests)
  func thirdLevel(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    // The page fault of the first one's slot runs into the second one, whose own load faults.
    let (address, base, bad) = try rig.faultingLoad()
    let path = try rig.insns("handle_page_fault").filter { $0.verdict == .outOfLine }
    for insn in path {
      _ = try rig.probes.registerKprobe(KprobeRequest(.address(insn.address), post: { _ in }))
    }
    let second = try #require(path.first)
    var nested = 0
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        pre: {
          guard nested == 0 else { return .continue }
          nested += 1
          // While the second one steps, a third one is hit: nobody claims it.
          let frame = $0.stack &+ 8192
          var regs = $0.regs
          let kernel = rig.machine.kernel
          func trap(_ pc: UInt64) -> Bool {
            regs.store64(kernel.isa.ptRegs.pc, pc &+ rig.probes.isa.breakTrapOffset)
            kernel.writeKernel(frame, regs)
            return kernel.askHooks(frame, address: nil, cause: 3) != nil
          }
          #expect(trap(second.address))
          #expect(!trap(second.address))
          #expect(rig.messages.last?.contains("unrecoverable reentry at handle_page_fault") == true)
          // Back from the second.
          let slot = rig.probes.kprobes.points[second.address]?.slot ?? 0
          #expect(trap(slot &+ second.length))
          $0[register: base] = bad
          return .continue
        }, post: { _ in }))
    // A page fault in the slot then passes probes one after the other, each at the second level.
    let text = rig.panic(rig.run(limit: Rig.enough))
    #expect(text?.contains(String(address, radix: 16)) == true, "\(String(describing: text))")
    #expect(nested == 1)
  }

  @Test("M16 a post handler changes nothing of what the instruction does", arguments: guests)
  func noBoost(guest: ProgramArchitecture) throws {
    // RISC-V neither boosts nor optimises: with and without, the step is the same. x86-64 boosts
    // where no post handler is.
    func run(_ post: ((ProbeContext) -> Void)?) throws -> UInt64 {
      let rig = try Rig.targets(guest)
      let probe = try rig.kprobe("probe_stacked", post: post)
      #expect(rig.run(limit: Rig.enough) == Rig.allRight)
      #expect(probe.hits == 10)
      return rig.machine.hart.count
    }
    let (without, with) = (try run(nil), try run { _ in })
    #expect(guest == .riscv64 ? without == with : without < with)
  }

  @Test(
    "M17 probes of one address: newest first, up to the first that takes over", arguments: guests)
  func aggregate(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    var order: [Int] = []
    var probes: [Kprobe] = []
    for number in 0..<3 {
      probes.append(
        try rig.kprobe(
          "probe_leaf",
          pre: { _ in
            order.append(number)
            return .continue
          }, post: { _ in order.append(10 + number) }))
    }
    try rig.probes.setEnabled(probes[1], false)
    let leaf = try rig.symbol("probe_leaf")
    try rig.kprobe(
      "probe_stacked",
      pre: {
        rig.hit(leaf, within: $0)
        return .continue
      })
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(Array(order.prefix(4)) == [2, 0, 12, 10])
    #expect(probes.map(\.hits) == [10, 0, 10])
    // Missed are all of them, as in Linux.
    #expect(probes.map(\.nmissed) == [10, 10, 10])
  }

  @Test("M18 text is a whole instruction at every moment", arguments: guests)
  func patching(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    for insn in try rig.targetInsns() {
      let probe = try? rig.probes.registerKprobe(KprobeRequest(.address(insn.address)))
      guard let probe else { continue }
      #expect(rig.text(insn.address, Int(insn.length)) == rig.facts.kernelBreak(insn.bytes))
      rig.probes.unregister(probe)
      #expect(rig.text(insn.address, Int(insn.length)) == insn.bytes)
    }
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
  }

  @Test("M19 what is written is fetched only after the fetch was synchronised", arguments: guests)
  func fetch(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies, _ model: CacheModel) throws -> [UInt64] {
      let rig = try Rig.targets(guest, [], model)
      var one: Kprobe?
      var other: Kprobe?
      var round = 0
      try rig.kprobe(
        "probe_pcrel",
        pre: { _ in
          round += 1
          rig.probes.legacy = legacy
          if round == 3 { one = try? rig.kprobe("probe_leaf") }
          if round == 6, let one { rig.probes.unregister(one) }
          if round == 8 { other = try? rig.kprobe("probe_fib") }
          return .continue
        })
      #expect(rig.run(limit: Rig.enough) == Rig.allRight)
      return [one?.hits ?? 0, other?.hits ?? 0]
    }
    let stale: [UInt64] = GuestFacts.of(guest).hasCoherentFetch ? [3, 354] : [0, 0]
    #expect(try run(.noFetchSynchronisation, .architectural) == stale)
    // Where the hart sees stores at once nothing is noticed.
    #expect(try run(.noFetchSynchronisation, .coherent) == [3, 354])
    #expect(try run([], .architectural) == [3, 354])
    #expect(try run([], .coherent) == [3, 354])
  }

  @Test(
    "M20 a call beyond maxactive is counted and left alone; room that is free again is used",
    arguments: guests)
  func exhaustion(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let trampoline = rig.probes.kprobes.trampoline
    var entries = 0
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: 1,
        entry: { _ in
          entries += 1
          return true
        }, ret: { _ in }))
    var hijacked = 0
    // The second instruction, which comes before any frame, sees the return address as the entry
    // left it.
    let next = try rig.insns("probe_fib")[1].address
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(next),
        pre: {
          if $0.caller == trampoline { hijacked += 1 }
          return .continue
        }))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(probe.hits == 10 && entries == 10 && hijacked == 10 && probe.nmissed == 1760)
  }

  @Test("M20 a call that the entry handler refuses takes no room", arguments: guests)
  func refusal(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: 1, entry: { $0.argument(1) == 1 }, ret: { _ in }))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    // fib(1) is called 55 times in fib(10), and never inside itself.
    #expect(probe.hits == 550 && probe.nmissed == 0)
  }

  @Test(
    "M20 calls of one chain return innermost first, each with its own function", arguments: guests)
  func chain(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    var seen: [(UInt64, UInt64)] = []
    let names = ["probe_tail_first", "probe_tail_second", "probe_tail_third"]
    for name in names + ["probe_tail_second"] {
      _ = try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol(name), ret: { seen.append(($0.function, $0.returnAddress)) }))
    }
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    let starts = try names.map(rig.symbol)
    #expect(seen.count == 40)
    #expect(
      Array(seen.prefix(4).map(\.0)) == [starts[2], starts[1], starts[1], starts[0]])
    #expect(Set(seen.map(\.1)).count == 1)
  }

  @Test("M20 a stack trace shows callers where the stack has the trampoline", arguments: guests)
  func stackTrace(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let trampoline = rig.probes.kprobes.trampoline
    var callers: [UInt64] = []
    _ = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: 20,
        entry: {
          if callers.count < 10 { callers.append($0.returnAddress) }
          return true
        }, ret: { _ in }))
    var isDone = false
    try rig.kprobe(
      "probe_fib", try rig.insns("probe_fib")[1].address &- rig.symbol("probe_fib"),
      pre: { context in
        guard callers.count == 4, !isDone else { return .continue }
        isDone = true
        let expected = Array(callers.reversed())
        let raw = Array(repeating: trampoline, count: 4)
        #expect(rig.probes.translate(raw, onStackOf: context.sp) == expected)
        // What is no trampoline stays, one without a call too.
        #expect(
          rig.probes.translate([7, trampoline, 8] + raw, onStackOf: context.sp)
            == [7, expected[0], 8] + expected[1...] + [trampoline])
        #expect(rig.probes.translate(raw, onStackOf: 0) == raw)
        // Frame records, as code with a frame pointer leaves them.
        let fps = (0..<3).map { context.sp &- 4096 &+ UInt64($0) &* 64 }
        let previous = UInt64(bitPattern: Int64(rig.probes.isa.frameRecord.previous))
        for (index, fp) in fps.enumerated() {
          var record = [UInt8](repeating: 0, count: 16)
          record.store64(0, index < 2 ? fps[index + 1] : 0)
          record.store64(8, index == 1 ? 0x1234 : trampoline)
          context.writeKernel(fp &+ previous, record)
        }
        let framePointer = rig.facts.framePointer
        let kept = (context.sp, context.register(framePointer) ?? 0)
        context.sp = context.sp &- 4200
        context.setRegister(framePointer, fps[0])
        #expect(
          rig.probes.stackTrace(context) == [context.pc, expected[0], 0x1234, expected[1]])
        #expect(rig.probes.stackTrace(context, limit: 2) == [context.pc, expected[0]])
        context.setRegister(framePointer, fps[0] &+ 1)
        #expect(rig.probes.stackTrace(context) == [context.pc])
        context.sp = kept.0
        context.setRegister(framePointer, kept.1)
        return .continue
      })
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(isDone)
  }

  @Test("M21 lengths: the break has that of the instruction; jalr with rd = rs1, bit 0, and x0")
  func lengths() throws {
    let isa = RISCVProbeISA()
    #expect(isa.breakpoint(.kprobe, over: 2) == [0x02, 0x90])
    #expect(isa.breakpoint(.kprobe, over: 4) == [0x73, 0, 0x10, 0])
    let nop = ProbedInsn(bytes: [0x01, 0x00], verdict: .outOfLine)
    #expect(isa.slotImage(nop) == [1, 0, 0x73, 0, 0x10, 0])
    func simulate(_ insn: Insn, x: [Int: UInt64]) throws -> (pc: UInt64, [UInt64]) {
      guard let bits = Encoder.encode(insn) else { throw Missing() }
      let bytes = (0..<Int(insn.length)).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt32($0))) }
      guard let simulation = isa.simulation(of: bytes, at: 0x1000) else { throw Missing() }
      var frame = [UInt8](repeating: 0, count: 288)
      for (number, value) in x { frame.store64(number * 8, value) }
      let isDone = frame.withUnsafeMutableBytes { bytes in
        bytes.baseAddress.map { simulation.run($0, NoMemory()) } ?? false
      }
      #expect(isDone)
      return (frame.load64(0), (0..<32).map { $0 == 0 ? 0 : frame.load64($0 * 8) })
    }
    // The target is read before the link is written, and is even.
    let aliased = try simulate(Insn(op: .jalr, rd: 5, rs1: 5, imm: 4), x: [5: 0x2001])
    #expect(aliased.pc == 0x2004 && aliased.1[5] == 0x1004)
    let none = try simulate(Insn(op: .jal, rd: 0, imm: -16), x: [1: 9])
    #expect(none.pc == 0xff0 && none.1[1] == 9)
    let constant = try simulate(Insn(op: .auipc, rd: 0, imm: 0x1000), x: [:])
    #expect(constant.pc == 0x1004 && constant.1.allSatisfy { $0 == 0 })
    let taken = try simulate(Insn(op: .beq, rs1: 1, rs2: 2, imm: 64), x: [1: 3, 2: 3])
    let not = try simulate(Insn(op: .beq, rs1: 1, rs2: 2, imm: 64), x: [1: 3, 2: 4])
    #expect(taken.pc == 0x1040 && not.pc == 0x1004)
  }

  @Test("M21 an instruction on two pages", arguments: guests)
  func acrossPages(guest: ProgramArchitecture) throws {
    var count = 0
    let plain = try Rig("probes.elf", ["f"], guest: guest)
    let start = try plain.symbol("__kprobes_text_end")
    let end = try plain.symbol("_etext")
    let image = try #require(plain.machine.kernel.image)
    for page in stride(from: (start | 4095) &+ 1, to: end, by: 4096) {
      guard let symbol = image.symbol(at: page &- 1)?.name,
        let insn = try plain.insns(symbol).last(where: { $0.address < page }),
        insn.address &+ insn.length > page
      else { continue }
      let rig = try Rig("probes.elf", ["f"], guest: guest)
      let place = KernelPlace.address(insn.address)
      guard let probe = try? rig.probes.registerKprobe(KprobeRequest(place, post: { _ in }))
      else { continue }
      count += 1
      #expect(rig.text(insn.address, insn.bytes.count) == rig.facts.kernelBreak(insn.bytes))
      #expect(rig.outcome() == (try Rig("probes.elf", ["f"], guest: guest).outcome()))
      rig.probes.unregister(probe)
      #expect(rig.text(insn.address, insn.bytes.count) == insn.bytes)
    }
    #expect(count > 0)
  }

  @Test(
    "M25 registers that a handler changes are what the instruction and the kernel see",
    arguments: guests)
  func changes(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    // kprobe_target2(84) = 43; with 100 it is 51, and the return handler puts 43 back.
    try rig.kprobe(
      "kprobe_target2",
      pre: {
        $0.setArgument(1, 100)
        return .continue
      })
    var results: Set<UInt64> = []
    _ = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("kprobe_target2"),
        ret: {
          results.insert($0.returnValue)
          $0.returnValue = 43
        }))
    // A post handler's too: probe_tail_third's result, after its exclusive or.
    let xor = try #require(try rig.insns("probe_tail_third").first { $0.name == rig.facts.xorName })
    var seen: Set<UInt64> = []
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(xor.address),
        post: {
          seen.insert($0.returnValue)
          $0.returnValue = 36 ^ 0x55
        }))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(results == [51] && seen == [36 ^ 0x55])
  }

  @Test("M25 a post handler may send the kernel elsewhere", arguments: guests)
  func postRedirects(guest: ProgramArchitecture) throws {
    var sp: UInt64 = 0
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    try rig.kprobe(
      rig.syscall("getpid"),
      pre: {
        // To undo what the first instruction does to the stack pointer.
        sp = $0.sp
        return .continue
      },
      post: {
        $0.sp = sp
        if case .redirect(let back) = $0.overrideFunction(returning: 6) { $0.pc = back }
      })
    #expect(rig.run(limit: Rig.enough) == .ended(.exited(60)))
  }
}
