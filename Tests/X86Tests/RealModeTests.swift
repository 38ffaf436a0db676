import Testing

@testable import Engine
@testable import X86

/// A processor that a message starts, and the real mode in which it begins.
@Suite struct RealModeTests {
  private static let handlers: UInt64 = 0x5000

  /// A started processor, its interrupt table's entry n at 0:0x5000 + 16 n, with 0x100 bytes of code at
  /// 0x8000.
  private final class Bench: TestHart {
    init?(engine: BackEnd = .interpreter, started: Bool = true) {
      super.init(index: 1, engine: engine)
      for vector in UInt64(0)..<256 {
        ram.store(vector * 4, UInt32(RealModeTests.handlers + vector * 16))
      }
      isa.enterWaiting(hart)
      guard started else { return }
      receive(6, 8)
      _ = hart.run(until: hart.count)
      self[4] = 0x1000
    }

    func receive(_ mode: UInt64, _ vector: UInt64 = 0) {
      isa.receive(
        APICMessage(vector: vector, mode: mode, destination: 1, isLogical: false), hart)
    }

    func word(_ address: UInt64) -> UInt16 { ram.load(address, as: UInt16.self) ?? 0 }
    func isAt(_ vector: UInt64) -> Bool { hart.pc == RealModeTests.handlers + vector * 16 }
    func segment(_ register: Int) -> Segment { Segment(register, of: x) }
  }

  /// - SeeAlso: Intel SDM volume 3, 'Local APIC State After an INIT Reset ("Wait-for-SIPI" State)'.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func messagesStart(engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine, started: false))
    bench.receive(4)
    bench.receive(0, 0x40)
    #expect(!bench.isa.wakes(bench.hart))
    bench.receive(6, 0x9)
    #expect(bench.isa.wakes(bench.hart))
    bench.ram.write(0x9000, [0x90, 0xf4])
    #expect(bench.hart.run(until: bench.hart.count + 1) == .budget)
    #expect(bench.hart.pc == 0x9001)
    #expect(bench.segment(SegmentRegister.cs).selector == 0x900)
    #expect(bench.segment(SegmentRegister.cs).base == 0x9000)
    #expect(bench[2] == UInt64(CPUID.leaf(1, 0).0))
    #expect(X64.isReal(bench.x))
    // One that runs takes no further one; INIT has it wait again, and forgets a start before.
    bench.receive(6, 0xa)
    #expect(bench.x[SystemSlot.startup] == 0)
    bench.receive(5)
    bench.receive(6, 0xa)
    bench.receive(5)
    _ = bench.hart.run(until: bench.hart.count + 5)
    #expect(bench.x[SystemSlot.waitsForStart] == 1)
    #expect(!bench.isa.wakes(bench.hart))
    bench.receive(6, 0xa)
    bench.ram.write(0xa000, [0xf4])
    #expect(bench.hart.run(until: bench.hart.count + 5) == .waiting)
    #expect(bench.hart.pc == 0xa001)
  }

  /// - SeeAlso: Intel SDM volume 2, 'Instruction Prefixes' and '16-Bit Addressing Forms with the ModR/M
  ///   Byte'.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func defaultsOf16BitCode(engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine))
    for register in [0, 1, 3, 6] as [UInt8] { bench[register] = 0xaaaa_0000 }
    // mov ax,0x1234; mov ecx,0x12345678; mov bx,0x10; mov si,0x20; mov [bx+si+2],ax; mov dx,[dword 0x32]
    // inc ax; push ecx; pop di; pop bp; lea eax,[ecx+ecx*2]
    bench.run(
      [
        0xb8, 0x34, 0x12, 0x66, 0xb9, 0x78, 0x56, 0x34, 0x12, 0xbb, 0x10, 0, 0xbe, 0x20, 0, 0x89,
        0x40, 0x02, 0x67, 0x8b, 0x15, 0x32, 0, 0, 0, 0x40, 0x66, 0x51, 0x5f, 0x5d, 0x67, 0x66, 0x8d,
        0x04, 0x49,
      ], 7)
    #expect(bench[0] == 0xaaaa_1235)
    #expect(bench[1] == 0x1234_5678)
    #expect(bench[3] == 0xaaaa_0010)
    #expect(bench.word(0x32) == 0x1234)
    #expect(bench[2] & 0xffff == 0x1234)
    _ = bench.hart.run(until: bench.hart.count + 4)
    #expect(bench[7] & 0xffff == 0x5678)
    #expect(bench[5] & 0xffff == 0x1234)
    #expect(bench[0] == 0x369d_0368)
    #expect(bench[4] == 0x1000)
  }

  /// - SeeAlso: Intel SDM volume 3, 'Interrupt and Exception Handling' (of '8086 Emulation').
  @Test(arguments: [BackEnd.interpreter, .jit])
  func interruptsThroughTheTable(engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine))
    bench.x[Registers.otherFlags] |= RFlags.interrupt
    bench.ram.write(Self.handlers + 0x210, [0xcf])
    bench.run([0xcd, 0x21])
    #expect(bench.isAt(0x21))
    #expect(bench.segment(SegmentRegister.cs).base == 0)
    #expect(bench[4] == 0xffa)
    #expect([bench.word(0xffa), bench.word(0xffc)] == [2, 0x800])
    #expect(bench.word(0xffe) & 0x202 == 0x202)
    #expect(bench.x[Registers.otherFlags] & RFlags.interrupt == 0)
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench.hart.pc == 0x8002)
    #expect(bench.segment(SegmentRegister.cs).base == 0x8000)
    #expect(bench.x[Registers.otherFlags] & RFlags.interrupt != 0)
    // A table that ends before: #GP, and where that has no entry either, the end.
    bench.x[SystemSlot.idtLimit] = 0x83
    bench.run([0xcd, 0x21])
    #expect(bench.isAt(13))
    #expect(bench.word(0xffa) == 2)
    bench.x[SystemSlot.idtLimit] = 3
    _ = bench.run([0x0f, 0x0b])
    #expect(bench.isa.isShutDown(bench.hart))
  }

  @Test(
    arguments: [
      // A word at 0xffff; through SS; a branch behind 64 KiB; LLDT; VEX; the instruction behind the end.
      ([0xa1, 0xff, 0xff], 13, 0), ([0x36, 0xa1, 0xff, 0xff], 12, 0),
      ([0x66, 0xe9, 0, 0, 1, 0], 13, 0), ([0x0f, 0x00, 0xd0], 6, 0),
      ([0xc5, 0xf8, 0x57, 0xc0], 6, 0), ([0x0f, 0x22, 0xc0], nil, 3), ([0x67, 0x8b, 0x06], 13, 0),
      // A code segment may be written to; LOOP with 16 bits of a count whose others are not zero.
      ([0x2e, 0xa2, 0x40, 0], nil, 4), ([0xe2, 0x10], nil, 0x12), ([0x67, 0xe2, 0x10], nil, 0x13),
    ] as [([UInt8], UInt64?, UInt64)])
  func limitsAndTypes(code: [UInt8], vector: UInt64?, next: UInt64) throws {
    for engine in [BackEnd.interpreter, .jit] {
      let bench = try #require(Bench(engine: engine))
      bench[6] = 0x10000
      bench[1] = 0x20001 + (code.first == 0xe2 ? 1 : 0)
      bench[0] = CR0.extensionType
      bench.run(code)
      if let vector {
        #expect(bench.isAt(vector), "\(code)")
        #expect(bench.word(0xffa) == 0)
      } else {
        #expect(bench.hart.pc == 0x8000 + next, "\(code)")
      }
    }
  }

  /// A limit that protected mode has set stays.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Switching to Protected Mode' and 'Switching Back to Real-Address
  ///   Mode'.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func toProtectedModeAndBack(engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine))
    for (index, descriptor)
      in ([
        0, 0x00cf_9300_0000_ffff, 0x0000_9b00_8000_ffff, 0x00cf_9b00_0000_ffff,
      ] as [UInt64]).enumerated()
    {
      bench.ram.store(0x4000 + UInt64(index) * 8, descriptor)
    }
    bench.x[SystemSlot.gdtBase] = 0x4000
    bench.x[SystemSlot.gdtLimit] = 31
    bench.ram.store(0x20_0000, UInt32(0x1357_9bdf))
    // mov ax,1; lmsw ax; mov dx,8; mov ds,dx; jmp 0x10:0x18
    bench.run(
      [0xb8, 1, 0, 0x0f, 0x01, 0xf0, 0xba, 8, 0, 0x8e, 0xda, 0xea, 0x18, 0, 0x10, 0], 5)
    #expect(bench.hart.pc == 0x8018)
    #expect(bench.segment(SegmentRegister.ds).limit == 0xffff_ffff)
    // mov eax,cr0; and al,0xfe; mov cr0,eax; jmp 0x700:0x1040
    bench.run(
      [0x0f, 0x20, 0xc0, 0x24, 0xfe, 0x0f, 0x22, 0xc0, 0xea, 0x40, 0x10, 0, 7], 4)
    #expect(bench.hart.pc == 0x8040)
    #expect(bench.segment(SegmentRegister.cs).selector == 0x700)
    // mov eax,[dword 0x200000]
    bench.run([0x67, 0x66, 0xa1, 0, 0, 0x20, 0])
    #expect(bench[0] == 0x1357_9bdf)
    // mov ds,cx keeps the limit; in 32-bit protected mode afterwards: lmsw; jmp dword 0x18:0x9000
    bench[1] = 0x100
    bench[0] = 1
    bench.run(
      [0x8e, 0xd9, 0x0f, 0x01, 0xf0, 0x66, 0xea, 0, 0x90, 0, 0, 0x18, 0], 3)
    #expect(bench.segment(SegmentRegister.ds).base == 0x1000)
    #expect(bench.segment(SegmentRegister.ds).limit == 0xffff_ffff)
    #expect(bench.hart.pc == 0x9000)
    bench.run([0xb8, 1, 2, 3, 4, 0xb9, 5, 6, 7, 8], 2)
    #expect(bench[0] == 0x0403_0201)
    #expect(bench[1] == 0x0807_0605)
  }

  /// - SeeAlso: Intel SDM volume 3, 'Determining IPI Destination' and 'Logical Destination Mode in
  ///   x2APIC Mode'.
  @Test(
    arguments: [
      // Destination, logical, of 32 bits; x2APIC; logical address and format; whether it is for number 1.
      (1, false, false, false, 0, 0xffff_ffff, true),
      (0, false, false, false, 0, 0xffff_ffff, false),
      (0xff, false, false, false, 0, 0xffff_ffff, true),
      (0xff, false, true, true, 0, 0xffff_ffff, false),
      (0xffff_ffff, false, true, true, 0, 0xffff_ffff, true),
      (0x12, true, false, false, 0x1000_0000, 0xffff_ffff, true),
      (0x02, true, false, false, 0x1000_0000, 0xffff_ffff, false),
      (0x12, true, false, false, 0x1200_0000, 0x0fff_ffff, true),
      (0x22, true, false, false, 0x1200_0000, 0x0fff_ffff, false),
      (0xf2, true, false, false, 0x1200_0000, 0x0fff_ffff, true),
      (0x2, true, true, true, 0, 0xffff_ffff, true),
      (0x1_0002, true, true, true, 0, 0xffff_ffff, false),
      (0x1, true, true, true, 0, 0xffff_ffff, false),
    ] as [(UInt64, Bool, Bool, Bool, UInt64, UInt64, Bool)])
  func destinations(
    destination: UInt64, logical: Bool, wide: Bool, extended: Bool, own: UInt64, format: UInt64,
    expected: Bool
  ) throws {
    let bench = try #require(Bench())
    if extended { bench.x[SystemSlot.apicBase] |= APIC.extended }
    bench.x[SystemSlot.logical] = own
    bench.x[SystemSlot.format] = format
    let message = APICMessage(
      vector: 0x40, mode: 0, destination: destination, isLogical: logical, isWide: wide)
    #expect(bench.isa.accepts(message, bench.hart) == expected)
  }

  /// The command register in memory and as a model-specific register.
  @Test func commands() throws {
    let bench = try #require(Bench())
    var sent: [(APICMessage, APICShorthand)] = []
    bench.isa.onMessage = { sent.append(($0, $1)) }
    bench.isa.writeAPIC(at: 0x310, 0x0300_0000, bench.hart)
    bench.isa.writeAPIC(at: 0x300, 0x4840, bench.hart)
    bench.isa.writeAPIC(at: 0x300, 0xc_4609, bench.hart)
    // The end of an INIT level.
    bench.isa.writeAPIC(at: 0x300, 0x8500, bench.hart)
    #expect(bench.isa.readAPIC(at: 0x300, bench.hart) == 0x8500)
    #expect(bench.isa.readAPIC(at: 0x310, bench.hart) == 0x0300_0000)
    bench.x[SystemSlot.apicBase] |= APIC.extended
    #expect(bench.isa.writeAPIC(0x830, 0x1_0002_0000_0c41, bench.hart))
    #expect(!bench.isa.writeAPIC(0x830, 0x1000, bench.hart))
    #expect(
      sent.map(\.0) == [
        APICMessage(vector: 0x40, mode: 0, destination: 3, isLogical: true),
        APICMessage(vector: 9, mode: 6, destination: 3, isLogical: false),
        APICMessage(vector: 0x41, mode: 4, destination: 0x1_0002, isLogical: true, isWide: true),
      ])
    #expect(sent.map(\.1) == [.none, .others, .none])
  }
}
