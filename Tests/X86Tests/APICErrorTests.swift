import Testing

@testable import Engine
@testable import X86

/// The local APIC's error status, and the entries of the local vector table.
///
/// - SeeAlso: Intel SDM volume 3, 'Error Handling' and 'Local Vector Table'.
@Suite struct APICErrorTests {
  private let ram: PhysicalMemory
  private let isa = X64()
  private let hart: Hart

  init() throws {
    ram = try #require(PhysicalMemory(base: 0, size: 1 << 20))
    hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: isa, cacheModel: .coherent, tlbCount: X64.tlbCount,
      engine: .interpreter)
    isa.enterProtected(hart, pc: 0x1000)
    write(0xf0, 0x1ff)
  }

  private func write(_ offset: UInt64, _ value: UInt64) { isa.writeAPIC(at: offset, value, hart) }
  private func read(_ offset: UInt64) -> UInt64 { isa.readAPIC(at: offset, hart) }
  private func isRequested(_ vector: UInt64) -> Bool {
    read(0x200 + (vector >> 5) << 4) >> (vector & 31) & 1 == 1
  }

  /// What was logged is read behind a write, and the next write forgets it.
  @Test func statusIsLatchedByAWrite() {
    // To all: the one that there is receives what it has sent.
    write(0x300, 0x8_000f)
    #expect(read(0x280) == 0)
    write(0x280, 7)
    #expect(read(0x280) == 0x60)
    #expect(!isRequested(15))
    write(0x280, 0)
    #expect(read(0x280) == 0)
    // The lowest priority too; but an NMI has no vector.
    write(0x300, 0x4_0100)
    write(0x300, 0x4_0400)
    write(0x280, 0)
    #expect(read(0x280) == 0x60)
    // A device's.
    isa.interrupt(3, hart)
    write(0x280, 0)
    #expect(read(0x280) == 0x40)
  }

  @Test func registersThatAreNotThere() {
    #expect(read(0x40) == 0)
    write(0x280, 0)
    #expect(read(0x280) == 0x80)
    // That of x2APIC to interrupt itself: nothing is sent.
    write(0x3f0, 0x50)
    #expect(!isRequested(0x50))
    write(0x280, 0)
    #expect(read(0x280) == 0x80)
    // Those to be read only, and all of the table.
    for offset in [0x30, 0x80, 0xa0, 0x280, 0x320, 0x350, 0x360, 0x370] as [UInt64] {
      _ = read(offset)
    }
    write(0x280, 0)
    #expect(read(0x280) == 0)
    #expect(read(0x30) == 0x3_0014)
  }

  /// One interrupt for all errors until the status is written.
  @Test func theErrorInterrupt() {
    #expect(read(0x370) == 0x1_0000)
    isa.interrupt(1, hart)
    write(0x370, 0x45)
    #expect(read(0x370) == 0x45)
    // Another one is none: the mechanism is not armed.
    isa.interrupt(1, hart)
    #expect(!isRequested(0x45))
    write(0x280, 0)
    isa.interrupt(1, hart)
    #expect(isRequested(0x45))
    // By a vector that can't be.
    write(0x280, 0)
    write(0x370, 0x5)
    _ = read(0x40)
    write(0x280, 0)
    #expect(read(0x280) == 0xc0)
  }

  @Test func switchedOffAllIsMasked() {
    write(0x350, 0x8700)
    write(0x370, 0x45)
    #expect(read(0x350) == 0x8700)
    write(0xf0, 0xff)
    #expect(read(0x350) == 0x1_8700)
    #expect(read(0x370) == 0x1_0045)
    write(0x360, 0x400)
    #expect(read(0x360) == 0x1_0400)
  }

  @Test func asModelSpecificRegisters() {
    hart.x[SystemSlot.apicBase] |= APIC.extended
    #expect(isa.writeAPIC(0x83f, 2, hart))
    #expect(!isa.writeAPIC(0x828, 1, hart))
    #expect(isa.readAPIC(0x828, hart) == 0)
    #expect(isa.writeAPIC(0x828, 0, hart))
    #expect(isa.readAPIC(0x828, hart) == 0x60)
    #expect(isa.writeAPIC(0x837, 0x45, hart))
    #expect(!isa.writeAPIC(0x837, 0x145, hart))
    #expect(isa.writeAPIC(0x835, 0x1_a7ff, hart))
    #expect(isa.readAPIC(0x835, hart) == 0x1_a7ff)
    #expect(isa.readAPIC(0x804, hart) == nil)
  }
}
