/// Why a trace file can't be written or read, in one line.
public enum TraceFileError: Error, Equatable, CustomStringConvertible {
  /// The host refuses: a path and its reason.
  case host(String)
  /// The file has no byte.
  case empty(String)
  /// The file does not begin as a trace does.
  case notATrace(String)
  /// The file's header says a format that this version does not know.
  case foreignVersion(String, major: UInt16, minor: UInt16)
  /// The file's header is not as it was written.
  case damagedHeader(String)
  /// A chunk is not as it was written.
  case damaged(number: UInt64, kind: String, offset: UInt64, why: String)
  /// A chunk was written whole, but what it says makes no sense.
  case malformed(String)
  /// Something that a trace must have is not there.
  case missing(String)

  /// One line.
  public var description: String {
    switch self {
    case .host(let text): text
    case .empty(let path): "\(path): the file is empty"
    case .notATrace(let path): "\(path): not a trace file"
    case .foreignVersion(let path, let major, let minor):
      "\(path): trace format \(major).\(minor) is newer than this emu, which reads up to "
        + "\(TraceFormatVersion.major).x"
    case .damagedHeader(let path): "\(path): the file header is damaged"
    case .damaged(let number, let kind, let offset, let why):
      "chunk \(number) (\(kind)) at offset \(offset) is damaged: \(why)"
    case .malformed(let what): "malformed trace: \(what)"
    case .missing(let what): "the trace has no \(what)"
    }
  }

  /// The line, which begins with the file's path.
  public func named(_ path: String) -> String {
    description.hasPrefix(path) ? description : "\(path): \(description)"
  }
}
