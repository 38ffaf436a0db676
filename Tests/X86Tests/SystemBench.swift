@testable import Engine
@testable import X86

/// A hart in 64-bit mode with tables of its own: everything is mapped where it lies.
///
/// - SeeAlso: Intel SDM volume 3, 'System Architecture Overview'.
final class SystemBench: TestHart {
  static let gdt: UInt64 = 0x8000, idt: UInt64 = 0x9000, tss: UInt64 = 0xa000
  static let kernelCode: UInt64 = 0x10000, handlers: UInt64 = 0x11000
  static let stackTop: UInt64 = 0x20000, exceptionStack: UInt64 = 0x22000
  static let userCode: UInt64 = 0x30000, userData: UInt64 = 0x40000
  static let userStack: UInt64 = 0x48000
  /// The page table of the first 2 MiB.
  static let pageTable: UInt64 = 0x4000
  static let kernelCS: UInt64 = 0x10, userCS: UInt64 = 0x33, userSS: UInt64 = 0x2b

  init?(
    _ caches: CacheModel = .coherent, features: FeatureSet = .announced,
    engine: BackEnd = .standard
  ) {
    super.init(memory: 2 << 20, caches: caches, features: features, engine: engine)
    for (table, next) in [(UInt64(0x1000), UInt64(0x2000)), (0x2000, 0x3000), (0x3000, 0x4000)] {
      ram.store(table, next | PTE.present | PTE.write | PTE.user)
    }
    for page in UInt64(0)..<512 { map(page << 12, PTE.write) }
    for page in UInt64(0x30)..<0x50 { map(page << 12, PTE.write | PTE.user) }
    ram.store(Self.tss + 4, Self.stackTop)
    ram.store(Self.tss + 36, Self.exceptionStack)
    // Bits of ports from 0 on; the byte behind them belongs to the map.
    ram.store(Self.tss + 102, UInt16(104))
    for vector in UInt64(0)..<256 { gate(vector) }
    isa.enterKernel(hart, pc: Self.kernelCode, root: 0x1000)
    setDescriptors(
      [
        0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0, 0x00cf_f300_0000_ffff,
        0x00af_fb00_0000_ffff, 0, 0x0000_8900_a000_0067, 0,
      ], at: Self.gdt)
    x[SystemSlot.idtBase] = Self.idt
    x[SystemSlot.idtLimit] = 4095
    x[SystemSlot.taskBase] = Self.tss
    x[SystemSlot.taskLimit] = 103
    x[SystemSlot.taskSelector] = 0x40
    self[4] = 0x1f000
  }

  /// The entry of a page.
  func map(_ va: UInt64, _ bits: UInt64, present: Bool = true) {
    ram.store(Self.pageTable + (va >> 12) * 8, va | bits | (present ? PTE.present : 0))
  }

  func entry(_ va: UInt64) -> UInt64 {
    ram.load(Self.pageTable + (va >> 12) * 8, as: UInt64.self) ?? 0
  }

  /// Where the handler of a vector is.
  static func handler(_ vector: UInt64) -> UInt64 { handlers + vector * 16 }

  /// An interrupt gate.
  func gate(
    _ vector: UInt64, type: UInt64 = 0x8e, selector: UInt64 = kernelCS, stack: UInt64 = 0,
    target: UInt64? = nil
  ) {
    let target = target ?? Self.handler(vector)
    var low = target & 0xffff | selector << 16 | stack << 32 | type << 40
    low |= (target >> 16 & 0xffff) << 48
    ram.store(Self.idt + vector * 16, low)
    ram.store(Self.idt + vector * 16 + 8, target >> 32)
  }

  /// Goes on in user mode.
  func enterUser(flags: UInt64 = 0x202) {
    x[SystemSlot.privilege] = 3
    x[SystemSlot.selectors + SegmentRegister.cs] = Self.userCS
    x[SystemSlot.selectors + SegmentRegister.ss] = Self.userSS
    RFlags.write(x, flags)
    x[Slot.pc] = Self.userCode
    self[4] = Self.userStack
    X64.updateMode(hart)
  }

  /// The words on the stack.
  func words(_ count: Int) -> [UInt64] {
    (0..<count).map { ram.load(self[4] + UInt64($0 * 8), as: UInt64.self) ?? 0 }
  }

  /// Whether the hart stands at the handler of a vector.
  func isAt(_ vector: UInt64) -> Bool { hart.pc == Self.handler(vector) }
}
