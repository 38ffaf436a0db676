import Testing

@testable import Engine

@Suite struct PhysicalMemoryTests {
  @Test func whatIsNoRAM() {
    #expect(PhysicalMemory(base: 0, size: 0) == nil)
    #expect(PhysicalMemory(base: 0x1001, size: 4096) == nil)
    #expect(PhysicalMemory(base: 0, size: PhysicalMemory.maxSize + 1) == nil)
    #expect(PhysicalMemory(base: 0, size: .max) == nil)
    #expect(PhysicalMemory(base: .max & ~4095, size: 4096) == nil)
  }

  @Test func sizesAreWholePages() throws {
    let ram = try #require(PhysicalMemory(base: 0x1000, size: 1))
    #expect(ram.size == 4096)
    #expect(ram.contains(0x1fff) && !ram.contains(0x2000) && !ram.contains(0xfff))
  }

  @Test func theEdges() throws {
    let ram = try #require(PhysicalMemory(base: 0x1000, size: 0x2000))
    #expect(ram.contains(0x2ff8, 8) && !ram.contains(0x2ff9, 8))
    #expect(!ram.contains(0x1000, .max) && !ram.contains(.max, 2))
    #expect(ram.load(0x2ff9, as: UInt64.self) == nil)
    #expect(!ram.store(0x2ffd, UInt32(1)) && ram.store(0x2ffc, UInt32(1)))
    #expect(ram.bytes(0x1000, -1) == nil && ram.bytes(0x1000, .max) == nil)
    // Nothing is written, so there is nothing to tell.
    var told = 0
    ram.onMonitoredStore = { _, _ in told += 1 }
    ram.monitor(0x1000)
    #expect(ram.zero(0x1000, 0) && ram.write(0x1000, []))
    #expect(told == 0)
    #expect(ram.zero(0x1000, 0x2000))
    #expect(told == 1)
  }
}
