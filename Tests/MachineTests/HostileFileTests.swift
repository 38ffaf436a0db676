import Foundation
import Image
import Machine
import RISCV
import Testing

/// Small files that ask for a lot of memory.
@Suite struct HostileFiles {
  /// An ELF file whose sections are all executable, all of the same bytes, with names that are
  /// the tails of one long string.
  private static func overlapping(sections: Int, text: Int, names: Int) -> [UInt8] {
    var file = [UInt8](repeating: 0, count: 64 + 56)
    func put(_ at: Int, _ value: UInt64, _ count: Int) {
      for index in 0..<count {
        file[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
      }
    }
    file.replaceSubrange(0..<7, with: [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
    for (at, value) in [(16, 2), (18, 243), (52, 64), (54, 56), (56, 1), (58, 64)] {
      put(at, UInt64(value), 2)
    }
    put(60, UInt64(sections + 2), 2)
    put(62, UInt64(sections + 1), 2)
    put(20, 1, 4)
    put(24, 0x10000, 8)
    put(32, 64, 8)
    for (at, value, count) in [(0, 1, 4), (4, 5, 4), (16, 0x10000, 8), (24, 0x10000, 8)] {
      put(64 + at, UInt64(value), count)
    }
    let start = file.count
    file += [UInt8](repeating: 1, count: text)
    let strings = file.count
    file += [UInt8](repeating: 0x61, count: names - 1) + [0]
    file += [UInt8](repeating: 0, count: (8 - file.count % 8) % 8)
    put(40, UInt64(file.count), 8)
    put(64 + 32, UInt64(file.count), 8)
    put(64 + 40, UInt64(file.count), 8)
    for index in 0..<sections + 2 {
      let at = file.count
      file += [UInt8](repeating: 0, count: 64)
      guard index > 0 else { continue }
      let isNames = index == sections + 1
      put(at, UInt64(index % 8), 4)
      put(at + 4, isNames ? 3 : 1, 4)
      put(at + 8, isNames ? 0 : 6, 8)
      put(at + 16, 0x10000, 8)
      put(at + 24, UInt64(isNames ? strings : start), 8)
      put(at + 32, UInt64(isNames ? names : text), 8)
    }
    return file
  }

  @Test func namesOfSections() throws {
    let elf = try ELFFile(Self.overlapping(sections: 1000, text: 16, names: 1 << 20))
    #expect(elf.sectionProblem == nil)
    #expect(elf.sections.count == 1002)
    let names = elf.sections.reduce(0) { $0 + $1.name.utf8.count }
    #expect(names > 1 << 20 && names < 16 << 20)
  }

  @Test func overlappingCode() throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("emu-overlap-\(UUID().uuidString).elf")
    defer { try? FileManager.default.removeItem(at: path) }
    try Data(Self.overlapping(sections: 1000, text: 1 << 18, names: 16)).write(to: path)
    guard case .failure(let failure) = Listing.disassemble(path.path, .all, limit: 10) else {
      Issue.record("listed")
      return
    }
    #expect(failure.description.hasSuffix("its executable parts overlap"))
  }

  /// Instructions lie at even addresses.
  @Test func anOddEntry() throws {
    let image = try BareImage([0x13, 0, 0, 0, 0x13, 0], loadAddress: BoardMap.ramBase + 1)
    let machine = try #require(
      BareMachine(BareConfiguration(), console: TypedConsole(), startOfRun: 0))
    #expect(image.load(into: machine.ram) == "the entry 0x80000001 is odd")
  }
}
