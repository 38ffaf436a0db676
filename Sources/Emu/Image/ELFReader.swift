import CLibElf

/// Sections and symbols, read by libelf from a copy of the file.
///
/// libelf is only shown files whose section headers were checked here: every section lies in the
/// file, tables have entries of the right size, and links lead to sections that there are.
enum ELFReader {
  /// Section headers that are looked at: more than any program has.
  private static let maxSections = 65279

  static func read(
    _ bytes: [UInt8]
  ) throws(ELFError) -> (sections: [ELFSection], symbols: [ELFSymbol]) {
    guard try check(Fields(bytes)) > 0 else { return ([], []) }
    guard elf_version(UInt32(EV_CURRENT)) != UInt32(EV_NONE) else {
      throw .malformed("libelf speaks another version of ELF")
    }
    // libelf may write to what it reads, and wants it aligned.
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + 16, alignment: 16)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes)
    guard let base = copy.baseAddress,
      let elf = elf_memory(base.assumingMemoryBound(to: CChar.self), bytes.count)
    else { throw .malformed("libelf: \(message())") }
    defer { elf_end(elf) }
    guard elf_kind(elf) == ELF_K_ELF else { throw .notELF }
    return try read(elf, bytes.count)
  }

  private static func message() -> String {
    elf_errmsg(-1).map { String(cString: $0) } ?? "unknown error"
  }

  private static func read(
    _ elf: OpaquePointer, _ size: Int
  ) throws(ELFError) -> (sections: [ELFSection], symbols: [ELFSymbol]) {
    var names = 0
    guard elf_getshdrstrndx(elf, &names) == 0 else { throw .malformed("libelf: \(message())") }
    // Names may overlap, so what they come to is not bounded by the file.
    var budget = max(size, 1 << 20) * 8
    var sections = [ELFSection(name: "", type: 0, flags: 0, address: 0, offset: 0, size: 0)]
    var tables: [UInt32: (OpaquePointer, GElf_Shdr)] = [:]
    var section: OpaquePointer?
    while let next = elf_nextscn(elf, section) {
      section = next
      var header = GElf_Shdr()
      guard gelf_getshdr(next, &header) != nil else { throw .malformed("libelf: \(message())") }
      let name = budget > 0 ? string(elf, names, Int(header.sh_name)) : ""
      budget -= name.utf8.count
      sections.append(
        ELFSection(
          name: name, type: header.sh_type,
          flags: header.sh_flags, address: header.sh_addr, offset: header.sh_offset,
          size: header.sh_size))
      if header.sh_type == UInt32(SHT_SYMTAB) || header.sh_type == UInt32(SHT_DYNSYM) {
        tables[header.sh_type] = (next, header)
      }
    }
    guard let (table, header) = tables[UInt32(SHT_SYMTAB)] ?? tables[UInt32(SHT_DYNSYM)] else {
      return (sections, [])
    }
    return (sections, symbols(elf, table, header, budget: max(size, 1 << 20) * 8))
  }

  private static func string(_ elf: OpaquePointer, _ section: Int, _ offset: Int) -> String {
    guard section > 0, let text = elf_strptr(elf, section, offset) else { return "" }
    return String(cString: text)
  }

  private static func symbols(
    _ elf: OpaquePointer, _ table: OpaquePointer, _ header: GElf_Shdr, budget: Int
  ) -> [ELFSymbol] {
    var budget = budget
    guard let data = elf_getdata(table, nil), data.pointee.d_buf != nil else { return [] }
    let count = Int(clamping: data.pointee.d_size / MemoryLayout<Elf64_Sym>.size)
    var symbols: [ELFSymbol] = []
    symbols.reserveCapacity(count)
    for index in 0..<max(count, 0) {
      var symbol = GElf_Sym()
      guard gelf_getsym(data, Int32(clamping: index), &symbol) != nil else { break }
      guard symbol.st_shndx != 0, symbol.st_name != 0,
        let kind = ELFSymbol.Kind(rawValue: symbol.st_info & 15),
        let binding = ELFSymbol.Binding(rawValue: symbol.st_info >> 4),
        kind != .section, kind != .file
      else { continue }
      let name = string(elf, Int(header.sh_link), Int(symbol.st_name))
      if name.isEmpty { continue }
      budget -= name.utf8.count
      if budget < 0 { break }
      symbols.append(
        ELFSymbol(
          name: name, address: symbol.st_value, size: symbol.st_size, kind: kind, binding: binding,
          section: symbol.st_shndx))
    }
    return symbols
  }

  // MARK: What libelf must be able to rely on

  /// Checks the section headers.
  ///
  /// - Returns: how many there are; zero where there is nothing to read.
  private static func check(_ fields: Fields) throws(ELFError) -> Int {
    let size = UInt64(fields.bytes.count)
    let offset = fields.u64(40)
    let count = Int(fields.u16(60))
    let names = Int(fields.u16(62))
    if offset == 0 {
      guard count == 0 else { throw .malformed("sections are counted but nowhere") }
      return 0
    }
    // With count 0, their number would be in the first section; nothing here has so many.
    if count == 0 { throw .malformed("more sections than the ELF header can count") }
    guard count <= maxSections else { throw .malformed("\(count) sections are too many") }
    guard fields.u16(58) == 64 else {
      throw .malformed("section headers of \(fields.u16(58)) bytes instead of 64")
    }
    guard offset <= size, UInt64(count) * 64 <= size &- offset else {
      throw .truncated("section headers")
    }
    guard offset & 7 == 0 else { throw .malformed("section headers are not aligned") }
    guard names < count else {
      throw .malformed("section names are in section \(names) of \(count)")
    }
    for index in 0..<count {
      try check(fields, Int(offset) + index * 64, index, count, size)
    }
    if names > 0 { try checkStrings(fields, Int(offset) + names * 64, "section names") }
    return count
  }

  private static func check(
    _ fields: Fields, _ at: Int, _ index: Int, _ count: Int, _ size: UInt64
  ) throws(ELFError) {
    let type = fields.u32(at + 4)
    guard index > 0 else {
      guard type == 0 else { throw .malformed("section 0 is not the empty one") }
      return
    }
    let offset = fields.u64(at + 24)
    let bytes = fields.u64(at + 32)
    // SHT_NULL and SHT_NOBITS occupy no bytes of the file.
    if type != 0, type != 8 {
      guard offset <= size, bytes <= size &- offset else { throw .truncated("section \(index)") }
    }
    switch type {
    case 2, 11:
      let link = Int(fields.u32(at + 40))
      guard fields.u64(at + 56) == 24, bytes % 24 == 0, bytes / 24 < UInt64(Int32.max) else {
        throw .malformed("section \(index): symbols of a wrong size")
      }
      guard link > 0, link < count else {
        throw .malformed("section \(index): names of symbols in section \(link) of \(count)")
      }
      try checkStrings(fields, Int(fields.u64(40)) + link * 64, "names of symbols")
      guard fields.u64(at + 8) & compressed == 0 else {
        throw .malformed("section \(index): symbols are compressed")
      }
    default: break
    }
  }

  /// `SHF_COMPRESSED`.
  private static let compressed: UInt64 = 0x800

  /// Strings that end where their section ends: then no search for an end is long.
  private static func checkStrings(
    _ fields: Fields, _ at: Int, _ what: String
  ) throws(ELFError) {
    let offset = fields.u64(at + 24)
    let bytes = fields.u64(at + 32)
    let size = UInt64(fields.bytes.count)
    guard fields.u32(at + 4) == 3, fields.u64(at + 8) & compressed == 0 else {
      throw .malformed("\(what) are in a section that holds no strings")
    }
    guard bytes > 0, offset <= size, bytes <= size &- offset,
      fields.bytes[Int(offset &+ bytes &- 1)] == 0
    else { throw .malformed("\(what) do not end") }
  }
}
