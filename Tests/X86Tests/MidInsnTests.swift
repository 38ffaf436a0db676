import Testing

@testable import Engine
@testable import X86

/// An access in the middle of an instruction that has the hart look around: the rest of the instruction
/// is executed all the same.
@Suite struct MidInsnTests {
  private static let code: UInt64 = 0x10_0000, other: UInt64 = 0x20_0000
  private static let device: UInt64 = 0x1000_0000

  /// Stops the hart at each access.
  private final class Stopper: Device {
    weak var hart: Hart?
    var values: [UInt64] = []

    func read(_ offset: UInt64, size: Int) -> UInt64 {
      hart?.requestStop()
      return 0x11
    }
    func write(_ offset: UInt64, size: Int, _ value: UInt64) {
      hart?.requestStop()
      values.append(value)
    }
  }

  private final class Bench: TestHart {
    let stopper = Stopper()

    init?(_ engine: BackEnd) {
      super.init(engine: engine)
      hart.bus.attach(stopper, base: MidInsnTests.device, size: 0x1000)
      stopper.hart = hart
      isa.enterProtected(hart, pc: MidInsnTests.other)
      // Code that the access will overwrite: it is translated.
      ram.write(MidInsnTests.other - 16, [UInt8](repeating: 0x90, count: 48))
      for _ in 0..<3 {
        hart.x[Slot.pc] = MidInsnTests.other - 16
        _ = hart.run(until: hart.count + 32)
      }
      hart.x[Slot.pc] = MidInsnTests.code
    }
  }

  /// EAX, ESP, EBX and pc (beyond the code's start) behind one instruction.
  ///
  /// EAX is 0x22 at first, EBX the address that is accessed and ESP four behind it.
  @Test(
    arguments: [
      // push eax; call +0x10; call [edi]; xchg [ebx],eax; xadd [ebx],eax; pop [ebx] of [esp]; pusha; enter
      ([0x50], 0x22, -4, 1), ([0xe8, 0x10, 0, 0, 0], 0x22, -4, 0x15),
      ([0xff, 0x17], 0x22, -4, 0x40), ([0x87, 0x03], nil, 0, 2), ([0x0f, 0xc1, 0x03], nil, 0, 3),
      ([0x8f, 0x03], 0x22, 4, 2), ([0x60], 0x22, -32, 1), ([0xc8, 0, 0, 0], 0x22, -4, 4),
    ] as [([UInt8], UInt64?, Int64, UInt64)], [BackEnd.interpreter, .jit])
  func storesToCode(_ case: ([UInt8], UInt64?, Int64, UInt64), engine: BackEnd) throws {
    let (code, eax, sp, pc) = `case`
    let bench = try #require(Bench(engine))
    bench[0] = 0x22
    bench[3] = Self.other
    bench[4] = Self.other + 4
    bench[7] = 0x5000
    bench.ram.store(0x5000, UInt32(Self.code + 0x40))
    let before = bench.ram.load(Self.other, as: UInt32.self) ?? 0
    bench.ram.write(Self.code, code)
    _ = bench.hart.run(until: bench.hart.count + 1)
    let expected = eax ?? UInt64(before)
    #expect(bench[0] == expected, "\(code)")
    #expect(bench[4] == Self.other + 4 &+ UInt64(bitPattern: sp), "\(code)")
    #expect(bench.hart.pc == Self.code + pc, "\(code)")
  }

  @Test(
    arguments: [
      // add eax,[ebx]; movzx ecx,byte [ebx] with its flags; push [ebx] is to RAM; imul eax,[ebx]; cmovz eax,[ebx]
      ([0x03, 0x03], 0x33), ([0x0f, 0xaf, 0x03], 0x242), ([0x0f, 0x44, 0x03], 0x11),
      ([0x66, 0x03, 0x03], 0x33), ([0x87, 0x03], 0x11), ([0x0f, 0xb6, 0x03], 0x11),
    ] as [([UInt8], UInt64)], [BackEnd.interpreter, .jit])
  func readsOfADevice(_ case: ([UInt8], UInt64), engine: BackEnd) throws {
    let (code, eax) = `case`
    let bench = try #require(Bench(engine))
    bench[0] = 0x22
    bench[3] = Self.device
    StatusFlags.set(bench.hart.x, StatusFlags.zero)
    bench.ram.write(Self.code, code + [0x90, 0x90])
    #expect(bench.hart.run(until: bench.hart.count + 3) == .requested)
    #expect(bench[0] == eax, "\(code)")
    // It stops behind that very instruction.
    #expect(bench.hart.pc == Self.code + UInt64(code.count))
    #expect(bench.stopper.values == (code[0] == 0x87 ? [0x22] : []))
  }

  /// A second access of the instruction faults: it has not been executed, and the count is right.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func aFaultBehindIt(engine: BackEnd) throws {
    let bench = try #require(Bench(engine))
    // push [ebx], the stack where nothing is: a machine check without a table shuts down.
    bench[3] = Self.device
    bench[4] = 0x3000_0000
    bench.ram.write(Self.code, [0xff, 0x33])
    let count = bench.hart.count
    _ = bench.hart.run(until: count + 1)
    #expect(bench[4] == 0x3000_0000)
    #expect(bench.hart.count == count + 1)
    #expect(bench.isa.isShutDown(bench.hart))
  }
}
