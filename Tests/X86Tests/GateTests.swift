import Testing

@testable import Engine
@testable import X86

/// Call gates where the image `gates` does not go: limits, and what is left as it was.
///
/// - SeeAlso: Intel SDM volume 2, 'CALL - Call Procedure' and 'JMP - Jump', 'Operation'.
@Suite struct GateTests {
  private static let task: UInt64 = 0xa000
  /// Where the gate at 0x40 leads.
  private static let procedure: UInt64 = 0x12_0040

  /// A program at privilege 3 in 32-bit code.
  private final class Bench: ProtectedBench {
    init?(engine: BackEnd) {
      super.init(
        engine: engine,
        descriptors: [
          0x00cf_fb00_0000_ffff, 0x00cf_f300_0000_ffff,
          // 0x28: the task; 0x30: code of 256 bytes at 0x120000; 0x38: a stack of 32 bytes at 0x30000.
          0x0000_8900_a000_0067, 0x0040_9b12_0000_00ff, 0x0040_9303_0000_001f,
          // 0x40: the gate; 0x48: a program's stack of 32 bytes at 0x40000.
          0x0000_ec02_0030_0040, 0x0040_f304_0000_001f,
        ], limit: 0xffff)
      setStack(sp: 0x20_0000, selector: 0x10)
      do { try isa.loadTask(0x28, hart) } catch { return nil }
      x[SystemSlot.privilege] = 3
      for register in 0..<6 where register != SegmentRegister.cs {
        Segment.flat(0x23, rights: 0xcff3).put(register, x)
      }
      Segment.flat(0x1b, rights: 0xcffb).put(SegmentRegister.cs, x)
      self[4] = 0x28_0000
      X64.updateMode(hart)
    }

    /// The stack of privilege 0.
    func setStack(sp: UInt32, selector: UInt16) {
      ram.store(GateTests.task + 4, sp)
      ram.store(GateTests.task + 8, selector)
    }

    /// LCALL, or LJMP, through the gate.
    func go(call: Bool) {
      run([call ? 0x9a : 0xea, 0xef, 0xbe, 0xad, 0xde, 0x43, 0])
    }

    func words(_ count: Int, at address: UInt64) -> [UInt32] {
      (0..<count).map { word(address + UInt64($0 * 4)) }
    }
  }

  /// Of 32 and 16 bits: what lies on the new stack, and that the offset of 16 bits has no more.
  @Test(arguments: [false, true], [BackEnd.interpreter, .jit])
  func stackAndParameters(narrow: Bool, engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine))
    if narrow { bench.ram.store(Bench.gdt + 0x40, UInt64(0x5555_e402_0030_0040)) }
    bench.ram.store(0x28_0000, UInt64(0x2222_2222_1111_1111))
    bench.go(call: true)
    #expect(bench.hart.pc == Self.procedure)
    #expect(bench.isa.privilege(bench.hart) == 0)
    #expect(bench.x[SystemSlot.selectors + SegmentRegister.cs] == 0x30)
    #expect(bench.x[SystemSlot.selectors + SegmentRegister.ss] == 0x10)
    if narrow {
      #expect(bench[4] == 0x1f_fff4)
      #expect(
        bench.words(3, at: 0x1f_fff4) == [0x1b_0007, 0x1111_1111, 0x23_0000])
    } else {
      #expect(bench[4] == 0x1f_ffe8)
      #expect(
        bench.words(6, at: 0x1f_ffe8)
          == [UInt32(Bench.code) + 7, 0x1b, 0x1111_1111, 0x2222_2222, 0x28_0000, 0x23])
    }
    // And back, the parameters released: RET 8 or 4.
    bench.ram.write(
      Self.procedure, narrow ? [0x66, 0xca, 4, 0] : [0xca, 8, 0])
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench.isa.privilege(bench.hart) == 3)
    #expect(bench[4] == (narrow ? 4 : 0x28_0008))
    #expect(bench.hart.pc == (narrow ? 7 : Bench.code + 7))
  }

  /// What faults leaves the program as it was.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func limits(engine: BackEnd) throws {
    func fault(call: Bool = true, _ change: (Bench) -> Void) throws -> [UInt64] {
      let bench = try #require(Bench(engine: engine))
      change(bench)
      let (sp, stack) = (bench[4], bench.x[SystemSlot.selectors + SegmentRegister.ss])
      bench.go(call: call)
      guard let vector = bench.fault(3).first else { return [] }
      #expect(bench.fault(3)[2...] == [Bench.code, 0x1b])
      let frame = bench.words(3, at: bench[4] + 12)
      #expect(frame == [0x1_0002, UInt32(sp), UInt32(stack)])
      return [vector, bench.fault(3)[1]]
    }
    // The last byte of the code segment, and the one behind it.
    #expect(try fault { $0.ram.store(Bench.gdt + 0x40, UInt16(0xff)) } == [])
    #expect(try fault { $0.ram.store(Bench.gdt + 0x40, UInt16(0x100)) } == [13, 0])
    // No jump goes to a greater privilege.
    #expect(try fault(call: false) { _ in } == [13, 0x30])
    // The caller's stack ends in its parameters.
    func small(_ sp: UInt64) -> (Bench) -> Void {
      { bench in
        Segment(selector: 0x4b, rights: 0x40f3, base: 0x4_0000, limit: 0x1f).put(
          SegmentRegister.ss, bench.x)
        bench[4] = sp
        X64.updateMode(bench.hart)
      }
    }
    #expect(try fault(small(24)) == [])
    #expect(try fault(small(28)) == [12, 0])
    // The last words that are read of the caller's privilege are a program's to read; the gate can be
    // anybody's.
    #expect(try fault { $0.ram.store(Bench.gdt + 0x45, UInt8(0xcc)) } == [13, 0x40])
  }

  /// The procedure's stack has not enough room: its handlers have another.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func room(engine: BackEnd) throws {
    // 24 bytes are pushed.
    for (sp, fits) in [(0x20, true), (0x18, true), (0x17, false)] as [(UInt32, Bool)] {
      let bench = try #require(Bench(engine: engine))
      bench.setStack(sp: sp, selector: 0x38)
      bench.go(call: true)
      if fits {
        #expect(bench.hart.pc == Self.procedure)
        #expect(bench[4] == UInt64(sp) - 24)
      } else {
        // #SS has the same stack, on which there is no room: a double fault, and no room for that.
        #expect(bench.isa.isShutDown(bench.hart))
      }
    }
    // By way of privilege 1, while that of privilege 0 is good.
    let bench = try #require(Bench(engine: engine))
    bench.ram.store(Bench.gdt + 0x30, UInt64(0x0040_bb12_0000_00ff))
    bench.ram.store(Bench.gdt + 0x38, UInt64(0x0040_b303_0000_001f))
    bench.ram.store(Bench.gdt + 0x42, UInt16(0x31))
    bench.ram.store(Self.task + 12, UInt32(0x17))
    bench.ram.store(Self.task + 16, UInt16(0x39))
    bench.go(call: true)
    #expect(bench.fault(3) == [12, 0x38, Bench.code, 0x1b])
  }

  /// The task is too short for the stack, or of 16 bits.
  @Test func tasks() throws {
    for (limit, fits) in [(9, true), (8, false)] as [(UInt64, Bool)] {
      let bench = try #require(Bench(engine: .interpreter))
      bench.x[SystemSlot.taskLimit] = limit
      bench.go(call: true)
      #expect(fits ? bench.hart.pc == Self.procedure : bench.isa.isShutDown(bench.hart))
    }
    for (limit, fits) in [(5, true), (4, false)] as [(UInt64, Bool)] {
      let bench = try #require(Bench(engine: .interpreter))
      bench.x[SystemSlot.isNarrowTask] = 1
      bench.x[SystemSlot.taskLimit] = limit
      bench.ram.store(Self.task + 2, UInt32(0x10_8000))
      bench.go(call: true)
      #expect(fits ? bench.hart.pc == Self.procedure : bench.isa.isShutDown(bench.hart))
      if fits { #expect(bench[4] == 0x8000 - 24) }
    }
  }

  /// What LAR and LSL see of system descriptors depends on whether there is long mode.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'LAR - Load Access Rights Byte' and 'LSL - Load Segment Limit',
  ///   'Segment and Gate Descriptor Types'.
  @Test func visibleTypes() throws {
    var seen: [[UInt64]] = [[], []]
    for type in UInt64(0)..<16 {
      for (which, opcode) in [UInt8(0x02), 0x03].enumerated() {
        let bench = try #require(Bench(engine: .interpreter))
        bench.ram.store(Bench.gdt + 0x40, type << 40 | 0xe0 << 40)
        // The table ends behind eight bytes.
        bench.x[SystemSlot.gdtLimit] = 0x47
        bench[0] = 0x43
        bench.ram.write(Bench.code, [0x0f, opcode, 0xc8])
        _ = bench.hart.run(until: bench.hart.count + 1)
        if StatusFlags.packed(bench.x) & StatusFlags.zero != 0 { seen[which].append(type) }
      }
    }
    #expect(seen == [[1, 2, 3, 4, 5, 9, 11, 12], [1, 2, 3, 9, 11]])
  }

  /// What is not done stops the hart, and is said.
  @Test func refusal() throws {
    let bench = try #require(Bench(engine: .interpreter))
    bench.x[SystemSlot.cr4] |= CR4.osFXSR
    Segment(selector: 0x23, rights: 0xcff3, base: 0x1000, limit: 0xffff_ffff).put(
      SegmentRegister.ds, bench.x)
    X64.modeChanged(bench.hart)
    // maskmovq mm0,mm1
    bench.ram.write(Bench.code, [0x0f, 0xf7, 0xc1])
    #expect(bench.hart.run(until: bench.hart.count + 1) == .requested)
    #expect(bench.isa.isShutDown(bench.hart))
    #expect(
      bench.isa.refusal(bench.hart)
        == "gathers and masked moves through segments that are not flat are not done")
  }
}
