/// The first line of a script.
///
/// - SeeAlso: Linux, `fs/binfmt_script.c`, `load_script`
struct ScriptLine: Equatable {
  /// The program that reads the script.
  var interpreter: [UInt8]
  /// What follows on the line: one argument, whatever is in it.
  var argument: [UInt8]?

  /// Reads the line from the first 256 bytes of a file (`BINPRM_BUF_SIZE`) that begin with `#!`.
  ///
  /// - Returns: `nil` where it names no interpreter, or not all of its path is there.
  init?(_ head: [UInt8]) {
    let size = 256
    // The kernel looks at a buffer of zeroes into which the file was read.
    let buffer = head.prefix(size) + Array(repeating: 0, count: max(0, size - head.count))
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    var end: Int
    if let newline = buffer.firstIndex(of: 0x0a) {
      end = newline
    } else {
      end = size - 1
      guard let first = buffer[2..<end].firstIndex(where: { !isBlank($0) }),
        buffer[first..<end].contains(where: { isBlank($0) || $0 == 0 })
      else { return nil }
    }
    while end > 2, isBlank(buffer[end - 1]) { end -= 1 }
    guard let start = buffer[2..<end].firstIndex(where: { !isBlank($0) }), buffer[start] != 0 else {
      return nil
    }
    let stop = buffer[start..<end].firstIndex { isBlank($0) || $0 == 0 } ?? end
    interpreter = Array(buffer[start..<stop])
    if stop < end, buffer[stop] != 0,
      let first = buffer[stop..<end].firstIndex(where: { !isBlank($0) })
    {
      let text = Array(buffer[first..<end].prefix { $0 != 0 })
      argument = text.isEmpty ? nil : text
    }
  }
}
