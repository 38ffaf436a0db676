import TraceFile

/// A recorded run as its trace file has it.
public final class RecordedRun: ChoiceSource {
  /// The file.
  public let file: TraceReader
  /// What was recorded.
  public let command: RecordedCommand
  /// All that the file says of it.
  public let description: RunDescription
  /// How the run ended; `nil` where the recording was cut off.
  public let end: RunDescription?
  private var files: [String: [UInt8]?] = [:]
  /// The answers.
  public private(set) var entries: [ChoiceEntry] = []
  /// How many were passed.
  public private(set) var position = 0
  /// Instructions until which all answers are known.
  public private(set) var reached: UInt64 = 0
  /// What is damaged and was passed over, in lines.
  public private(set) var damages: [String] = []

  /// Opens a trace.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - skipDamaged: passes over what is damaged; else that is an error.
  /// - Throws: what is wrong with it.
  public init(_ path: String, skipDamaged: Bool = false) throws(TraceFileError) {
    file = try TraceReader(path)
    if let damage = file.damages.first, !skipDamaged {
      throw .damaged(
        number: damage.number, kind: "????", offset: damage.offset,
        why: "no chunk header for \(damage.end - damage.offset) bytes")
    }
    damages = file.damages.map(\.description)
    guard
      let first = file.chunks.firstIndex(where: { $0.header.kind == .configuration })
    else { throw .missing("description of its run (CONF)") }
    description = try RunDescription(decoding: file.record(first).bytes)
    command = try RecordedCommand(description)
    end = try Self.end(file)
    try readChoices(skipDamaged)
  }

  private static func end(_ file: TraceReader) throws(TraceFileError) -> RunDescription? {
    guard let index = file.chunks.firstIndex(where: { $0.header.kind == .end }) else { return nil }
    return try RunDescription(decoding: file.record(index).bytes)
  }

  private func readChoices(_ skipDamaged: Bool) throws(TraceFileError) {
    var blobs: [[UInt8]?] = []
    var index = 0
    while index < file.chunks.count {
      let chunk = file.chunks[index]
      guard [.blob, .choices].contains(chunk.header.kind) else {
        index += 1
        continue
      }
      let record: (bytes: [UInt8], next: Int)
      do throws(TraceFileError) {
        record = try file.record(index)
      } catch {
        guard skipDamaged else { throw error }
        damages.append(error.description)
        index += 1
        while index < file.chunks.count, file.chunks[index - 1].header.continues { index += 1 }
        continue
      }
      index = record.next
      if chunk.header.kind == .blob {
        try Self.read(blobs: record.bytes, into: &blobs)
      } else {
        // Answers behind a gap are of no use: who asks has not come there.
        guard try read(choices: record.bytes, blobs) else { break }
      }
    }
  }

  private static func read(
    blobs bytes: [UInt8], into blobs: inout [[UInt8]?]
  ) throws(TraceFileError) {
    var reader = ByteReader(bytes)
    let first = try reader.number(upTo: 1 << 32)
    guard first >= blobs.count, first - blobs.count <= 1 << 24 else {
      throw .malformed("stored files are not in order")
    }
    while blobs.count < first { blobs.append(nil) }
    while !reader.isAtEnd {
      let digest = try reader.bytes(32)
      let content = try reader.counted()
      guard SHA256.hash(content) == digest else {
        throw .malformed("stored file \(blobs.count) is not the one with its SHA-256")
      }
      blobs.append(content)
    }
  }

  /// - Returns: `false` behind a gap.
  private func read(choices bytes: [UInt8], _ blobs: [[UInt8]?]) throws(TraceFileError) -> Bool {
    var reader = ByteReader(bytes)
    let first = try reader.number()
    let count = try reader.number()
    let from = try reader.number()
    let to = try reader.number()
    guard first == UInt64(entries.count), from == reached else {
      if damages.isEmpty { throw .malformed("answers are not in order") }
      return false
    }
    guard from <= to else { throw .malformed("answers that end before they begin") }
    var decoder = ChoiceDecoder(reader, from: from) { blobs.indices.contains($0) ? blobs[$0] : nil }
    do throws(TraceFileError) {
      while let entry = try decoder.next() { entries.append(entry) }
    } catch {
      guard !damages.isEmpty, case .missing = error else { throw error }
      return false
    }
    guard UInt64(entries.count) &- first == count else {
      throw .malformed("\(count) answers announced, \(UInt64(entries.count) &- first) found")
    }
    reached = to
    return true
  }

  /// Whether the recording does not say how the run went on.
  public var isCutOff: Bool { end == nil || !damages.isEmpty }

  /// The next answer.
  public var head: ChoiceEntry? { position < entries.count ? entries[position] : nil }
  /// Goes on.
  public func advance() { position = min(position + 1, entries.count) }
  /// Goes back, or forward.
  public func rewind(to position: Int) { self.position = min(max(position, 0), entries.count) }

  /// The bytes of a file by its path in the guest: the recorded copy of a program, else what is below
  /// the root now.
  public func fileBytes(_ path: String) -> [UInt8]? {
    if let known = files[path] { return known }
    var bytes: [UInt8]?
    for entry in entries {
      if case .contents(let name, let found?, _, _) = entry.choice,
        ProgramRun.guestPath(name) == path
      {
        bytes = found
      }
    }
    if bytes == nil, let root = description["root"] { bytes = try? Host.contents(of: root + path) }
    files[path] = .some(bytes)
    return bytes
  }

  /// The files that the run was made of, with their digests then.
  public var images: [(path: String, digest: String)] {
    description.all("image").compactMap { text in
      guard let space = text.firstIndex(of: " ") else { return nil }
      return (String(text[text.index(after: space)...]), String(text[..<space]))
    }
  }
}
