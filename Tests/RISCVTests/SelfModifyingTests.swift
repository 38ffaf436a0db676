import Testing

@testable import Engine
@testable import RISCV

/// - SeeAlso: RISC-V Unprivileged ISA Manual, '"Zifencei" Extension for Instruction-Fetch Fence'.
@Suite struct SelfModifying {
  private static func bits(_ insn: Insn) -> UInt64 { UInt64(Encoder.encode(insn) ?? 0) }

  /// A store into the block that is running: seen at once in coherent mode, and in architectural
  /// mode not before fence.i.
  @Test(arguments: CacheModel.allCases, [false, true])
  func aStoreAhead(caches: CacheModel, fenced: Bool) throws {
    for (gap, warm) in [(0, false), (0, true), (1, true), (20, true)] {
      let rig = try Rig(caches)
      let fence = fenced ? Insn(op: .fence_i) : .nop
      let program =
        [.store(Reg.a2, Reg.a1, op: .sw), fence] + [Insn](repeating: .nop, count: gap)
        + [.li(Reg.a0, 1), Insn(op: .jalr, rs1: Reg.ra)]
      let at = Rig.code + UInt64(gap + 2) * 4
      rig.put(Rig.code, program)
      rig["ra"] = Rig.code
      rig["a1"] = Rig.data
      rig["a2"] = Self.bits(.li(Reg.a0, 2))
      if warm { rig.step(program.count) }
      rig["pc"] = Rig.code
      rig["a1"] = at
      rig.step(gap + 3)
      // Unfenced and never fetched before, either is right; our line is fetched with the store.
      let seen = caches == .coherent || fenced
      #expect(rig["a0"] == (seen ? 2 : 1), "gap \(gap), warm \(warm)")
      #expect(rig["pc"] == at + 4)
      // And on the next turn.
      rig.step(program.count)
      #expect(rig["a0"] == (seen ? 2 : 1))
    }
  }

  @Test(arguments: CacheModel.allCases)
  func halfAnInstructionIsEnough(caches: CacheModel) throws {
    let rig = try Rig(caches)
    rig.run([.li(Reg.a0, 1), Insn(op: .jal, imm: -4)])
    // The immediate's half alone.
    rig["a1"] = Rig.code + 2
    rig["a2"] = Self.bits(.li(Reg.a0, 0x123)) >> 16
    rig.run([.store(Reg.a2, Reg.a1, op: .sh), Insn(op: .fence_i)], at: 0x3000)
    rig["pc"] = Rig.code
    rig.step(1)
    #expect(rig["a0"] == 0x123)
  }

  /// Blocks that lead straight to each other, one of which changes.
  @Test func chainedBlocksAreDropped() throws {
    let rig = try Rig(.coherent)
    rig.put(Rig.code, [.nop, Insn(op: .jal, imm: 0x3c)])
    rig.put(Rig.code + 0x40, [.li(Reg.a0, 1), Insn(op: .jal, imm: -0x44)])
    rig["pc"] = Rig.code
    rig.step(400)
    #expect(rig["a0"] == 1)
    rig["a1"] = Rig.code + 0x40
    rig["a2"] = Self.bits(.li(Reg.a0, 2))
    rig.run([.store(Reg.a2, Reg.a1, op: .sw), .nop], at: 0x3000)
    rig["pc"] = Rig.code
    rig.step(4)
    #expect(rig["a0"] == 2)
  }

  /// A loop that increments an immediate of its own.
  @Test(arguments: CacheModel.allCases)
  func aLoopThatRewritesItself(caches: CacheModel) throws {
    let rig = try Rig(caches)
    let target = Rig.code + 16
    rig["a1"] = target
    rig["a3"] = 1 << 20
    rig.put(
      Rig.code,
      [
        .load(Reg.a2, Reg.a1, op: .lw), Insn(op: .add, rd: Reg.a2, rs1: Reg.a2, rs2: Reg.a3),
        .store(Reg.a2, Reg.a1, op: .sw), Insn(op: .fence_i),
        .li(Reg.a0, 0), Insn(op: .add, rd: Reg.a4, rs1: Reg.a4, rs2: Reg.a0),
        Insn(op: .jal, imm: -24),
      ])
    rig["a4"] = 0
    rig["pc"] = Rig.code
    rig.step(7 * 100)
    #expect(rig["a4"] == 5050)
  }

  @Test(arguments: CacheModel.allCases)
  func codeWrittenFromOutside(caches: CacheModel) throws {
    let rig = try Rig(caches)
    rig.run([.li(Reg.a0, 1)])
    rig.put(Rig.code, [.li(Reg.a0, 2)])
    rig["pc"] = Rig.code
    rig.step(1)
    #expect(rig["a0"] == (caches == .coherent ? 2 : 1))
    rig.run([Insn(op: .fence_i)], at: 0x3000)
    rig["pc"] = Rig.code
    rig.step(1)
    #expect(rig["a0"] == 2)
  }

  /// Another hart's store: coherent at once; else by a fence of the fetching hart only.
  @Test(arguments: CacheModel.allCases)
  func codeWrittenByAnotherHart(caches: CacheModel) throws {
    let rig = try Rig(caches, harts: 2)
    rig.run([.li(Reg.a0, 1)])
    rig.harts[1].x[Int(Reg.a1)] = Rig.code
    rig.harts[1].x[Int(Reg.a2)] = Self.bits(.li(Reg.a0, 2))
    rig.run([.store(Reg.a2, Reg.a1, op: .sw), Insn(op: .fence_i)], on: 1, at: 0x3000)
    rig["pc"] = Rig.code
    rig.step(1)
    #expect(rig["a0"] == (caches == .coherent ? 2 : 1))
    rig.run([Insn(op: .fence_i)], at: 0x3100)
    rig["pc"] = Rig.code
    rig.step(1)
    #expect(rig["a0"] == 2)
  }

  /// The part of an instruction that lies in the next page.
  @Test(arguments: CacheModel.allCases)
  func anInstructionAcrossPages(caches: CacheModel) throws {
    let rig = try Rig(caches)
    let at: UInt64 = 0x3ffe
    rig.put(at, [.li(Reg.a0, 1), Insn(op: .jalr, rs1: Reg.ra)])
    rig["pc"] = at
    rig.step(2)
    rig["a1"] = 0x4000
    rig["a2"] = Self.bits(.li(Reg.a0, 0x55)) >> 16
    rig.run([.store(Reg.a2, Reg.a1, op: .sh), Insn(op: .fence_i)])
    rig["pc"] = at
    rig.step(2)
    #expect(rig["a0"] == 0x55)
  }

  /// Two neighbouring virtual pages that are one physical page.
  @Test func anInstructionThatBeginsAndEndsInOnePage() throws {
    let rig = try Rig(.coherent)
    rig.enterPaging()
    let flags = PTE.read | PTE.execute | PTE.write | PTE.accessed | PTE.dirty
    let va: UInt64 = 0x4000_0000
    rig.map(va, to: Rig.data, flags)
    rig.map(va + 0x1000, to: Rig.data, flags)
    let insn = Self.bits(.li(Reg.a0, 1))
    rig.ram.store(Rig.data + 0xffe, UInt16(truncatingIfNeeded: insn))
    rig.ram.store(Rig.data, UInt16(insn >> 16))
    rig["pc"] = va + 0xffe
    rig.step(1)
    #expect(rig["a0"] == 1)
    rig["a1"] = va
    rig["a2"] = Self.bits(.li(Reg.a0, 0x77)) >> 16
    rig.run([.store(Reg.a2, Reg.a1, op: .sh)])
    rig["pc"] = va + 0xffe
    rig.step(1)
    #expect(rig["a0"] == 0x77)
  }

  /// Stores beside code in the same page drop nothing and change nothing.
  @Test func dataBesideCode() throws {
    let rig = try Rig(.coherent)
    rig["a1"] = Rig.code + 0x800
    rig.put(
      Rig.code,
      [
        Insn(op: .addi, rd: Reg.a0, rs1: Reg.a0, imm: 1), .store(Reg.a0, Reg.a1),
        Insn(op: .jal, imm: -8),
      ])
    rig["a0"] = 0
    rig["pc"] = Rig.code
    rig.step(3)
    let translated = rig.hart.blocksTranslated
    rig.step(3000)
    #expect(rig["a0"] == 1001)
    #expect(rig.load(Rig.code + 0x800) == 1001)
    #expect(rig.hart.blocksTranslated <= translated + 2)
  }

  /// So much code that the block cache must be emptied now and then.
  @Test(arguments: CacheModel.allCases)
  func moreCodeThanIsKept(caches: CacheModel) throws {
    let rig = try Rig(caches)
    var insns: [Insn] = []
    for index in 0..<200_000 {
      insns.append(Insn(op: .addi, rd: Reg.a0, rs1: Reg.a0, imm: 1))
      if index % 2 == 1 { insns.append(Insn(op: .jal, imm: 4)) }
    }
    rig.put(0x10_0000, insns)
    rig["a0"] = 0
    for turn in UInt64(1)...3 {
      rig["pc"] = 0x10_0000
      rig.step(insns.count)
      #expect(rig["a0"] == turn * 200_000)
    }
  }

  // MARK: Exact stops

  /// A run in one go and one in steps end in the same state, observed or not.
  @Test(arguments: [1, 2, 3, 5, 7, 64, 1000], CacheModel.allCases)
  func stopsAreExact(slice: Int, caches: CacheModel) throws {
    final class Counter: InsnObserver {
      var pcs: [UInt64] = []
      func willExecute(_ pc: UInt64, on hart: Hart) { pcs.append(pc) }
    }
    var ends: [[UInt64]] = []
    for observed in [false, true] {
      for sliced in [false, true] {
        let rig = try Rig(caches)
        let counter = Counter()
        if observed { rig.hart.observe(counter) }
        rig.put(
          Rig.code,
          [
            Insn(op: .addi, rd: Reg.a0, rs1: Reg.a0, imm: 1),
            Insn(op: .add, rd: Reg.a3, rs1: Reg.a3, rs2: Reg.a0),
            .store(Reg.a3, Reg.a1), .load(Reg.a4, Reg.a1),
            Insn(op: .andi, rd: Reg.a2, rs1: Reg.a0, imm: 3),
            Insn(op: .bne, rs1: Reg.a2, imm: -20),
            Insn(op: .xor, rd: Reg.a5, rs1: Reg.a5, rs2: Reg.a3),
            Insn(op: .jal, rd: Reg.ra, imm: -28),
          ])
        rig["a0"] = 0
        rig["a1"] = Rig.data
        rig["a3"] = 0
        rig["a5"] = 0
        rig["pc"] = Rig.code
        var left = 3000
        while left > 0 {
          let now = sliced ? min(slice, left) : left
          let before = rig.hart.count
          #expect(rig.step(now) == .budget)
          #expect(rig.hart.count == before + UInt64(now))
          left -= now
        }
        if observed {
          #expect(counter.pcs.count == 3000)
          #expect(counter.pcs.last != nil)
        }
        ends.append((0..<32).map { rig.hart.x[$0] } + [rig["pc"], rig.load(Rig.data)])
      }
    }
    #expect(Set(ends).count == 1)
  }

  /// Harts that share translated code: one's observer sees what that one executes, and only that.
  @Test(arguments: [0, 1])
  func anObserverSeesItsHart(observedHart: Int) throws {
    final class Counter: InsnObserver {
      var seen = 0
      func willExecute(_ pc: UInt64, on hart: Hart) { seen += 1 }
    }
    let rig = try Rig(.coherent, harts: 2)
    let counter = Counter()
    rig.harts[observedHart].observe(counter)
    rig.put(Rig.code, [.nop, .nop, Insn(op: .jal, imm: -8)])
    for _ in 0..<3 {
      for index in 0..<2 { rig.step(30, on: index) }
    }
    #expect(counter.seen == 90)
    rig.harts[observedHart].observe(nil)
    for index in 0..<2 { rig.step(30, on: index) }
    #expect(counter.seen == 90)
  }

  @Test func aRequestStopsBehindTheInstruction() throws {
    let rig = try Rig()
    let device = RecordingDevice()
    rig.bus.attach(device, base: Rig.device, size: 0x1000)
    device.onWrite = { rig.hart.requestStop() }
    rig["a1"] = Rig.device
    rig["a0"] = 0
    let stop = rig.run([.nop, .store(Reg.a0, Reg.a1), .li(Reg.a0, 1), .nop])
    #expect(stop == .requested)
    #expect(rig["pc"] == Rig.code + 8)
    #expect(rig["a0"] == 0)
    #expect(rig.hart.count == 2)
    device.onWrite = nil
  }
}
