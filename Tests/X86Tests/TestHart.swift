@testable import Engine
@testable import X86

/// A hart with memory from address 0 on, and what every test does with it.
class TestHart {
  let ram: PhysicalMemory
  let isa: X64
  let hart: Hart
  var x: UnsafeMutablePointer<UInt64> { hart.x }

  init?(
    memory: UInt64 = 4 << 20, index: Int = 0, caches: CacheModel = .coherent,
    features: FeatureSet = .announced, engine: BackEnd = .standard, jit: JITOptions = JITOptions()
  ) {
    guard let ram = PhysicalMemory(base: 0, size: memory) else { return nil }
    self.ram = ram
    isa = X64(features: features)
    hart = Hart(
      index: index, bus: Bus(ram: ram), isa: isa, cacheModel: caches, tlbCount: X64.tlbCount,
      engine: engine, jit: jit)
  }

  /// A general register.
  subscript(_ register: UInt8) -> UInt64 {
    get { x[Registers.slot(register)] }
    set { x[Registers.slot(register)] = newValue }
  }

  /// Executes `count` instructions, from code put at the present pc.
  @discardableResult
  func run(_ code: [UInt8], _ count: UInt64 = 1) -> HartStop {
    ram.write(x[Slot.pc], code)
    return go(count)
  }

  @discardableResult
  func go(_ count: UInt64 = 1) -> HartStop { hart.run(until: hart.count + count) }

  /// Descriptors from an address on, which is the table's.
  func setDescriptors(_ descriptors: [UInt64], at table: UInt64, limit: UInt64? = nil) {
    for (index, descriptor) in descriptors.enumerated() {
      ram.store(table + UInt64(index) * 8, descriptor)
    }
    x[SystemSlot.gdtBase] = table
    x[SystemSlot.gdtLimit] = limit ?? UInt64(descriptors.count * 8 - 1)
  }

  /// Goes on in 64-bit mode where the first 255 pages are mapped as they lie, by tables that begin at
  /// `tables`.
  func enterPaged(pc: UInt64, tables: UInt64) {
    for level in UInt64(0)..<3 {
      ram.store(tables + level << 12, (tables + (level + 1) << 12) | 3)
    }
    for page in UInt64(0)..<255 { ram.store(tables + 3 << 12 + page * 8, page << 12 | 3) }
    isa.enterKernel(hart, pc: pc, root: tables)
  }
}

/// A hart in 32-bit protected mode without paging, as a boot loader leaves it, with tables of its own.
class ProtectedBench: TestHart {
  static let code: UInt64 = 0x10_0000, gdt: UInt64 = 0x8000, idt: UInt64 = 0x9000
  /// Where handler n is: 16 n behind it.
  static let handlers: UInt64 = 0x11_0000

  /// With the descriptors that follow null, code and data, and so many bytes of them; whose gates take
  /// interrupts from programs where `forPrograms` is set.
  init?(
    engine: BackEnd = .standard, descriptors: [UInt64], limit: UInt64? = nil,
    forPrograms: Bool = false
  ) {
    super.init(engine: engine)
    isa.enterProtected(hart, pc: Self.code)
    setDescriptors(
      [0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff] + descriptors, at: Self.gdt, limit: limit)
    let rights: UInt64 = forPrograms ? 0xee00 : 0x8e00
    for vector in UInt64(0)..<256 {
      let target = Self.handlers + vector * 16
      ram.store(
        Self.idt + vector * 8, target & 0xffff | 8 << 16 | rights << 32 | (target >> 16) << 48)
    }
    x[SystemSlot.idtBase] = Self.idt
    x[SystemSlot.idtLimit] = 2047
    self[4] = 0x20_0000
  }

  func word(_ address: UInt64) -> UInt32 { ram.load(address, as: UInt32.self) ?? 0 }
  /// The words on the stack.
  func words(_ count: Int) -> [UInt32] { (0..<count).map { word(self[4] + UInt64($0 * 4)) } }
  /// Whether the hart stands at the handler of a vector.
  func isAt(_ vector: UInt64) -> Bool { hart.pc == Self.handlers + vector * 16 }
  /// The vector of the handler that begins, and so many words of its stack.
  func fault(_ count: Int) -> [UInt64] {
    let offset = hart.pc &- Self.handlers
    return offset < 0x1000 ? [offset / 16] + words(count).map { UInt64($0) } : []
  }
  /// Vector and error code of the handler that begins.
  var fault: [UInt64] { fault(1) }
}
