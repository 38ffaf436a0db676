/// An ELF file: headers, sections, symbols.
public final class ELFFile {
  /// The headers.
  public let header: ELFHeader
  /// Its bytes.
  public let bytes: [UInt8]
  /// Checks the headers. Sections and symbols are read when they are first asked for.
  public init(_ bytes: [UInt8], requirements: ELFRequirements = ELFRequirements())
    throws(ELFError)
  {
    self.bytes = bytes
    header = try ELFHeader(fileSize: UInt64(bytes.count), requirements: requirements) {
      offset, count in
      guard offset <= UInt64(bytes.count) else { return [] }
      let start = Int(offset)
      return Array(bytes[start..<min(bytes.count, start + max(count, 0))])
    }
  }
}
