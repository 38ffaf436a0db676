/// A section header: what of the file is called how.
public struct ELFSection: Sendable, Equatable {
  /// Its name; empty where the file does not say.
  public var name: String
  /// `sh_type`.
  public var type: UInt32
  /// `sh_flags`: 1 write, 2 allocated, 4 execute.
  public var flags: UInt64
  /// Its address, where it is loaded.
  public var address: UInt64
  /// Where it is in the file.
  public var offset: UInt64
  /// Bytes.
  public var size: UInt64

  /// It is in memory when the program runs.
  public var isAllocated: Bool { flags & 2 != 0 }
  /// It holds instructions.
  public var isExecutable: Bool { flags & 4 != 0 }
}

/// An ELF file for a 64-bit little-endian machine: headers, sections, symbols.
///
/// The headers are checked when it is made, so that it can be loaded without further questions.
/// Sections and symbols are for people and probes: where they are damaged there are none, and
/// ``sectionProblem`` says why.
///
/// - SeeAlso: elf(5); elfutils, `libelf.h`, `gelf.h`
public final class ELFFile {
  /// Its bytes.
  public let bytes: [UInt8]
  /// The checked headers.
  public let header: ELFHeader
  /// All sections, in the file's order, the empty one at index 0 too.
  public let sections: [ELFSection]
  /// Why there are no sections although the file says there are.
  public let sectionProblem: String?
  /// Its symbols: those of `.symtab`, or of `.dynsym` in a stripped file.
  public let symbols: ELFSymbolTable

  /// Where the program starts, before a load bias.
  public var entry: UInt64 { header.entry }
  /// All program headers.
  public var segments: [ELFSegment] { header.segments }
  /// Whether it can be loaded anywhere.
  public var isPIE: Bool { header.isPIE }

  /// Checks the headers and reads sections and symbols.
  public init(
    _ bytes: [UInt8], requirements: ELFRequirements = ELFRequirements()
  ) throws(ELFError) {
    self.bytes = bytes
    header = try ELFHeader(fileSize: UInt64(bytes.count), requirements: requirements) {
      Self.slice(bytes, $0, $1)
    }
    do throws(ELFError) {
      let read = try ELFReader.read(bytes)
      sections = read.sections
      symbols = ELFSymbolTable(read.symbols, sections: read.sections)
      sectionProblem = nil
    } catch {
      sections = []
      symbols = ELFSymbolTable([], sections: [])
      sectionProblem = error.description
    }
  }

  /// The path of the program interpreter (`PT_INTERP`).
  public var interpreter: [UInt8]? {
    guard let (offset, count) = header.interpreterRange else { return nil }
    return Array(Self.slice(bytes, offset, count).prefix { $0 != 0 })
  }

  /// Bytes of a segment that are in the file.
  public func contents(of segment: ELFSegment) -> [UInt8] {
    Self.slice(bytes, segment.offset, Int(clamping: segment.fileSize))
  }

  /// The first section of this name.
  public func section(_ name: String) -> ELFSection? { sections.first { $0.name == name } }

  /// Bytes of a section; none for `.bss`.
  public func contents(of section: ELFSection) -> [UInt8] {
    section.type == 8 ? [] : Self.slice(bytes, section.offset, Int(clamping: section.size))
  }

  private static func slice(_ bytes: [UInt8], _ offset: UInt64, _ count: Int) -> [UInt8] {
    guard offset < UInt64(bytes.count), count > 0 else { return [] }
    let start = Int(offset)
    return Array(bytes[start..<(start + min(count, bytes.count - start))])
  }
}
