import Foundation
import Testing

@testable import Image

/// A file as the linker makes it: one segment, `.text`, `.symtab`, `.strtab`, `.shstrtab`.
struct Sample {
  static let names = Array("\0main\0helper\0data\0weak\0layout_size\0".utf8)
  static let sectionNames = Array("\0.text\0.data\0.symtab\0.strtab\0.shstrtab\0".utf8)

  static func make() -> [UInt8] {
    var file = [UInt8](repeating: 0, count: 64 + 56 * 2)
    func put(_ at: Int, _ value: UInt64, _ count: Int) {
      for index in 0..<count {
        file[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
      }
    }
    file.replaceSubrange(0..<7, with: [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
    put(16, 2, 2)
    put(18, 243, 2)
    put(20, 1, 4)
    put(24, 0x10100, 8)
    put(32, 64, 8)
    put(52, 64, 2)
    put(54, 56, 2)
    put(56, 2, 2)
    put(58, 64, 2)
    put(60, 6, 2)
    put(62, 5, 2)
    func segment(_ index: Int, _ flags: UInt64, _ offset: UInt64, _ va: UInt64, _ size: UInt64) {
      let at = 64 + 56 * index
      put(at, 1, 4)
      put(at + 4, flags, 4)
      put(at + 8, offset, 8)
      put(at + 16, va, 8)
      put(at + 24, va, 8)
      put(at + 32, size, 8)
      put(at + 40, size + (index == 1 ? 64 : 0), 8)
      put(at + 48, 4096, 8)
    }
    segment(0, 5, 0, 0x10000, 0x200)
    segment(1, 6, 0x200, 0x11200, 0x40)
    file += [UInt8](repeating: 0x13, count: 0x240 - file.count)
    let symbols = file.count
    func symbol(_ name: UInt64, _ info: UInt64, _ section: UInt64, _ value: UInt64, _ size: UInt64)
    {
      let at = file.count
      file += [UInt8](repeating: 0, count: 24)
      put(at, name, 4)
      put(at + 4, info, 1)
      put(at + 6, section, 2)
      put(at + 8, value, 8)
      put(at + 16, size, 8)
    }
    symbol(0, 0, 0, 0, 0)
    symbol(6, 0x02, 1, 0x10140, 0x20)
    symbol(1, 0x12, 1, 0x10100, 0x40)
    symbol(13, 0x11, 2, 0x11200, 8)
    symbol(18, 0x22, 1, 0x10100, 0)
    symbol(23, 0x10, 0xfff1, 0x10120, 0)
    let strings = file.count
    file += names
    let sectionStrings = file.count
    file += sectionNames
    while file.count & 7 != 0 { file.append(0) }
    put(40, UInt64(file.count), 8)
    func section(
      _ name: UInt64, _ type: UInt64, _ flags: UInt64, _ va: UInt64, _ offset: Int, _ size: Int,
      _ link: UInt64 = 0, _ entry: UInt64 = 0
    ) {
      let at = file.count
      file += [UInt8](repeating: 0, count: 64)
      put(at, name, 4)
      put(at + 4, type, 4)
      put(at + 8, flags, 8)
      put(at + 16, va, 8)
      put(at + 24, UInt64(offset), 8)
      put(at + 32, UInt64(size), 8)
      put(at + 40, link, 4)
      put(at + 48, 8, 8)
      put(at + 56, entry, 8)
    }
    section(0, 0, 0, 0, 0, 0)
    section(1, 1, 6, 0x10100, 0x100, 0x100)
    section(7, 1, 3, 0x11200, 0x200, 0x40)
    section(13, 2, 0, 0, symbols, 24 * 6, 4, 24)
    section(21, 3, 0, 0, strings, names.count)
    section(29, 3, 0, 0, sectionStrings, sectionNames.count)
    return file
  }

  static func with(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
    var bytes = make()
    change(&bytes)
    return bytes
  }
}

extension [UInt8] {
  mutating func put(_ at: Int, _ value: UInt64, _ count: Int) {
    for index in 0..<count {
      self[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
    }
  }
}

@Suite("ELF files") struct ELFTests {
  @Test func reads() throws {
    let elf = try ELFFile(Sample.make(), requirements: ELFRequirements(machine: 243))
    #expect(elf.sectionProblem == nil)
    #expect(elf.entry == 0x10100)
    #expect(!elf.isPIE)
    #expect(elf.header.loadable.map(\.address) == [0x10000, 0x11200])
    #expect(elf.header.endAddress == 0x11280)
    #expect(elf.header.programHeadersAddress == 0x10040)
    #expect(elf.sections.map(\.name) == ["", ".text", ".data", ".symtab", ".strtab", ".shstrtab"])
    #expect(elf.symbols.all.count == 5)
    #expect(elf.symbols.symbol("main")?.address == 0x10100)
    #expect(elf.symbols.symbol("layout_size")?.isAbsolute == true)
    #expect(elf.symbols.symbol("nothing") == nil)
    #expect(elf.section(".data").map { elf.contents(of: $0).count } == 64)
    #expect(elf.contents(of: elf.segments[1]).count == 64)
    #expect(elf.interpreter == nil)
  }

  @Test(
    arguments: [
      (0x10100, "main", 0), (0x1013f, "main", 0x3f), (0x10140, "helper", 0),
      (0x101ff, "helper", 0xbf),
      (0x11207, "data", 7), (0x11230, "data", 0x30),
    ] as [(UInt64, String, UInt64)])
  func byAddress(address: UInt64, name: String, offset: UInt64) throws {
    let found = try ELFFile(Sample.make()).symbols.symbol(at: address)
    #expect(found?.symbol.name == name)
    #expect(found?.offset == offset)
  }

  @Test(arguments: [0, 0x100ff, 0x10200, 0x11240, .max] as [UInt64])
  func outsideOfEverySection(address: UInt64) throws {
    #expect(try ELFFile(Sample.make()).symbols.symbol(at: address) == nil)
  }

  private func reason(
    _ bytes: [UInt8], _ requirements: ELFRequirements = ELFRequirements()
  )
    -> String
  {
    do {
      _ = try ELFFile(bytes, requirements: requirements)
      return "none"
    } catch {
      return "\(error)"
    }
  }

  @Test func reasons() {
    #expect(reason([]) == "not an ELF file")
    #expect(reason(Array("hello".utf8)) == "not an ELF file")
    #expect(reason([0x7f, 0x45, 0x4c, 0x46]) == "truncated: the file ends inside its ELF header")
    #expect(reason(Sample.with { $0[4] = 1 }) == "a 32-bit ELF file; 64-bit files run here")
    #expect(
      reason(Sample.with { $0[5] = 2 }) == "a big-endian ELF file; little-endian files run here")
    #expect(reason(Sample.with { $0[6] = 9 }) == "unknown ELF version 9")
    #expect(
      reason(Sample.make(), ELFRequirements(machine: 62)) == "made for RISC-V, not for x86-64")
    #expect(reason(Sample.with { $0[16] = 1 }) == "a relocatable object file; link it first")
    #expect(reason(Sample.with { $0[16] = 4 }) == "a core dump")
    #expect(reason(Sample.with { $0.put(56, 0, 2) }) == "no program headers: nothing to load")
    #expect(reason(Sample.with { $0.put(56, 0xffff, 2) }) == "65535 program headers are too many")
    #expect(
      reason(Sample.with { $0.put(54, 32, 2) }) == "program headers of 32 bytes instead of 56")
    #expect(
      reason(Sample.with { $0.put(32, .max, 8) })
        == "truncated: the file ends inside its program headers")
    #expect(
      reason(Sample.with { $0.put(64 + 8, 0x10_0000, 8) })
        == "truncated: the file ends inside its segment 0")
    #expect(
      reason(Sample.with { $0.put(64 + 40, 1, 8) })
        == "segment 0 has more bytes in the file than in memory")
    #expect(
      reason(Sample.with { $0.put(64 + 48, 3, 8) })
        == "segment 0 has alignment 3, not a power of two")
    #expect(
      reason(Sample.with { $0.put(64 + 16, 0x10008, 8) })
        == "segment 0 lies differently in its page in the file and in memory")
    #expect(
      reason(Sample.with { $0.put(64 + 40, 0x2000, 8) }) == "segments overlap at address 0x11200")
    #expect(
      reason(Sample.with { $0.put(64 + 56 + 40, 1 << 50, 8) })
        == "segments need more than the 1099511627776 bytes of memory there are")
    #expect(
      reason(Sample.with { $0.put(64 + 56 + 40, .max, 8) })
        == "segment 1 reaches behind the last address")
    #expect(
      reason(Sample.with { $0.put(24, 0x11200, 8) })
        == "entry 0x11200 is not in an executable segment")
    #expect(
      reason(Sample.make(), ELFRequirements(addressLimit: 0x11000))
        == "segments reach behind address 0x11000")
    #expect(
      reason(Sample.with { for at in [64, 120] { $0.put(at, 6, 4) } }) == "no loadable segment")
    #expect(reason(Sample.with { $0.put(64, 3, 4) }).contains("interpreter") == false)
    #expect(
      reason(
        Sample.with {
          $0.put(64, 3, 4)
          $0.put(64 + 32, 1, 8)
        }) == "the interpreter's path has 1 bytes")
  }

  /// Damaged sections only cost the names.
  @Test func damagedSections() throws {
    let table = Int(Fields(Sample.make()).u64(40))
    let cases: [(String, (inout [UInt8]) -> Void)] = [
      ("truncated: the file ends inside its section headers", { $0.put(40, .max - 7, 8) }),
      ("section headers are not aligned", { $0.put(40, UInt64(table - 3), 8) }),
      ("section headers of 40 bytes instead of 64", { $0.put(58, 40, 2) }),
      ("more sections than the ELF header can count", { $0.put(60, 0, 2) }),
      ("section names are in section 6 of 6", { $0.put(62, 6, 2) }),
      ("section names are in a section that holds no strings", { $0.put(62, 1, 2) }),
      ("section names do not end", { $0.put(table + 5 * 64 + 32, 3, 8) }),
      ("truncated: the file ends inside its section 1", { $0.put(table + 64 + 32, .max, 8) }),
      ("section 3: symbols of a wrong size", { $0.put(table + 3 * 64 + 56, 16, 8) }),
      ("section 3: names of symbols in section 9 of 6", { $0.put(table + 3 * 64 + 40, 9, 4) }),
    ]
    for (problem, change) in cases {
      let elf = try ELFFile(Sample.with(change))
      #expect(elf.sectionProblem == problem)
      #expect(elf.symbols.all.isEmpty)
    }
    #expect(
      try ELFFile(
        Sample.with {
          $0.put(40, 0, 8)
          $0.put(60, 0, 2)
        }
      ).sectionProblem == nil)
  }

  @Test func everyCutIsRefusedOrHarmless() {
    let bytes = Sample.make()
    for count in 0..<bytes.count { _ = reason(Array(bytes.prefix(count))) }
  }

  /// Random damage, and random bytes: never a crash.
  @Test(arguments: 0..<8) func fuzz(seed: UInt64) {
    var state = seed
    func random(_ bound: Int) -> Int {
      state &+= 0x9e37_79b9_7f4a_7c15
      var value = state
      value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
      value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
      return Int((value ^ value >> 31) % UInt64(bound))
    }
    let whole = Sample.make()
    let table = Int(Fields(whole).u64(40))
    let edges: [UInt64] = [
      0, 1, 8, 0x7f, 0xff, 0xffff, 0xffff_ffff, .max, .max - 7, 1 << 63, 1 << 31,
    ]
    var good = 0
    for round in 0..<2500 {
      var bytes = whole
      for _ in 0...random(4) {
        // Headers, symbols, and section headers are where it matters.
        let at = random(3) == 0 ? table + random(6 * 64) : random(bytes.count)
        if random(2) == 0 {
          bytes[at] = UInt8(random(256))
        } else {
          let size = [1, 2, 4, 8][random(4)]
          let value = random(3) == 0 ? UInt64(random(bytes.count * 2)) : edges[random(edges.count)]
          bytes.put(min(at & ~(size - 1), bytes.count - size), value, size)
        }
      }
      if round % 16 == 0 { bytes.removeLast(random(bytes.count)) }
      if round % 32 == 1 { bytes = (0..<random(300)).map { _ in UInt8(random(256)) } }
      if round % 32 == 2, bytes.count > 8 {
        let kept = bytes.prefix(8)
        for index in 8..<bytes.count { bytes[index] = UInt8(random(256)) }
        bytes.replaceSubrange(0..<8, with: kept)
      }
      guard let elf = try? ELFFile(bytes) else { continue }
      good += 1
      for section in elf.sections { _ = elf.contents(of: section) }
      for segment in elf.segments { _ = elf.contents(of: segment) }
      _ = elf.symbols.symbol(at: elf.entry)
      _ = elf.interpreter
    }
    #expect(good > 100)
  }

  /// What the host's own linker makes.
  @Test func hostPrograms() throws {
    for path in ["/proc/self/exe", "/bin/sh"] {
      guard let data = FileManager.default.contents(atPath: path) else { continue }
      let elf = try ELFFile([UInt8](data))
      #expect(elf.sectionProblem == nil)
      #expect(elf.isPIE || elf.entry > 0)
      for symbol in elf.symbols.all.prefix(2000) where symbol.kind == .function && symbol.size > 0 {
        #expect(elf.symbols.symbol(at: symbol.address)?.offset == 0)
      }
    }
  }
}
