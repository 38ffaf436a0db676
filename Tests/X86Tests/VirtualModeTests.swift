import Testing

@testable import Engine
@testable import X86

/// Virtual-8086 mode where the image `virtual` does not go.
///
/// - SeeAlso: Intel SDM volume 3, 'Virtual-8086 Mode'.
@Suite struct VirtualModeTests {
  private static let task: UInt64 = 0xa000, place: UInt64 = 0x3_0000

  private final class Bench: ProtectedBench {
    /// The kernel, in 32-bit code.
    init?(engine: BackEnd) {
      super.init(
        engine: engine,
        descriptors: [
          0x0000_8900_a000_0067,
          // 0x20 and 0x28: of programs; 0x30: code of privilege 1; 0x38: conforming code.
          0x00cf_fb00_0000_ffff, 0x00cf_f300_0000_ffff, 0x00cf_bb00_0000_ffff,
          0x00cf_9f00_0000_ffff,
        ], forPrograms: true)
      ram.store(VirtualModeTests.task + 4, UInt32(0x20_0000))
      ram.store(VirtualModeTests.task + 8, UInt16(0x10))
      do { try isa.loadTask(0x18, hart) } catch { return nil }
      self[4] = 0x28_0000
    }

    /// Has the kernel return by IRETD to what these flags say, with code at 0x3000:0x10 and a stack at
    /// 0x4000.
    func enter(
      flags: UInt32 = 0x2_0002, ip: UInt32 = 0x10, sp: UInt32 = 0x100, _ code: [UInt8] = []
    ) {
      for (index, word) in [ip, 0x3000, flags, sp, 0x4000, 0x5000, 0x5001, 0x5002, 0x5003]
        .enumerated()
      {
        ram.store(0x28_0000 + UInt64(index) * 4, word)
      }
      ram.write(VirtualModeTests.place + 0x10, code)
      run([0xcf])
    }
  }

  /// The frame of what leads out of it, and what is left of the segments.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func inAndOut(engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine))
    // nop; int3
    bench.enter([0x90, 0xcc])
    #expect(bench.hart.pc == Self.place + 0x10)
    #expect(bench.isa.privilege(bench.hart) == 3)
    #expect(X64.isVirtual(bench.x))
    _ = bench.hart.run(until: bench.hart.count + 2)
    #expect(
      bench.fault(9)
        == [3, 0x12, 0x3000, 0x2_0002, 0x100, 0x4000, 0x5000, 0x5001, 0x5002, 0x5003])
    #expect(!X64.isVirtual(bench.x))
    for register in [0, 3, 4, 5] { #expect(bench.x[SystemSlot.selectors + register] == 0) }
    // And there again.
    bench.run([0xcf])
    #expect(bench.hart.pc == Self.place + 0x12)
    #expect(Segment(SegmentRegister.gs, of: bench.x).base == 0x5_0030)
  }

  /// - SeeAlso: Intel SDM volume 2, 'IRET/IRETD/IRETQ - Interrupt Return', 'Operation'.
  @Test func whatDoesNotLeadThere() throws {
    // The offset has more than 16 bits.
    let far = try #require(Bench(engine: .interpreter))
    far.enter(ip: 0x1_0000)
    #expect(far.fault(4) == [13, 0, Bench.code, 8, 0x1_0002])
    // A program's flags, and POPF of the kernel.
    for privilege in [3, 0] as [UInt64] {
      let bench = try #require(Bench(engine: .interpreter))
      if privilege == 3 {
        Segment.flat(0x23, rights: 0xcffb).put(SegmentRegister.cs, bench.x)
        Segment.flat(0x2b, rights: 0xcff3).put(SegmentRegister.ss, bench.x)
        bench.x[SystemSlot.privilege] = 3
        X64.modeChanged(bench.hart)
        for (index, word) in [0x10_0100, 0x23, 0x2_0002].enumerated() {
          bench.ram.store(0x28_0000 + UInt64(index) * 4, UInt32(word))
        }
        bench.run([0xcf])
        #expect(bench.hart.pc == 0x10_0100)
      } else {
        bench.ram.store(0x28_0000, UInt32(0x2_0002))
        bench.run([0x9d])
      }
      #expect(!X64.isVirtual(bench.x))
      #expect(bench.isa.privilege(bench.hart) == privilege)
    }
  }

  /// Segments have 64 KiB each.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func limits(engine: BackEnd) throws {
    for (code, sp, vector) in [
      // mov ax,[0xfffe]; mov ax,[0xffff]; push ax at 2, and at 1; jmp beyond; lcall to where nothing is.
      ([0xa1, 0xfe, 0xff], 0x100, nil), ([0xa1, 0xff, 0xff], 0x100, 13), ([0x50], 2, nil),
      ([0x50], 1, 12), ([0x66, 0xe9, 0, 0, 1, 0], 0x100, 13),
      ([0x66, 0x9a, 0, 0, 1, 0, 0, 0x30], 0x100, 13), ([0x9a, 0, 0, 0, 0x30], 0x100, nil),
    ] as [([UInt8], UInt32, UInt64?)] {
      let bench = try #require(Bench(engine: engine))
      bench.enter(sp: sp, code)
      bench.go()
      let expected = vector.map { [$0, 0, 0x10, 0x3000, 0x3_0002] as [UInt64] } ?? []
      #expect(bench.fault(4) == expected, "\(code)")
    }
  }

  /// Handlers have privilege 0.
  @Test func gates() throws {
    for (selector, expected) in [
      (8, [3, 0x11, 0x3000]), (0x30, [13, 0x30, 0x10]), (0x38, [13, 0x38, 0x10]),
    ] as [(UInt16, [UInt64])] {
      let bench = try #require(Bench(engine: .interpreter))
      bench.ram.store(Bench.idt + 3 * 8 + 2, selector)
      bench.enter([0xcc])
      bench.go()
      #expect(Array(bench.fault(4).prefix(3)) == expected)
    }
    // A gate of 16 bits pushes as many.
    let narrow = try #require(Bench(engine: .interpreter))
    narrow.ram.store(Bench.idt + 3 * 8, UInt64(0x0000_e600_0008_4000))
    narrow.enter([0xcc])
    narrow.go()
    #expect(narrow.hart.pc == 0x4000)
    #expect(narrow.x[Registers.slot(4)] == 0x20_0000 - 18)
    #expect(narrow.word(0x20_0000 - 4) == 0x5003_5002)
  }

  /// A port is the task's to allow, whatever the I/O privilege.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'I/O Permission Bit Map'.
  @Test func ports() throws {
    for flags in [0x2_0002, 0x2_3002] as [UInt32] {
      let bench = try #require(Bench(engine: .interpreter))
      bench.ram.store(Self.task + 0x66, UInt16(0x68))
      bench.enter(flags: flags, [0xe4, 0x21])
      bench.go()
      #expect(Array(bench.fault(4).prefix(3)) == [13, 0, 0x10])
    }
  }
}
