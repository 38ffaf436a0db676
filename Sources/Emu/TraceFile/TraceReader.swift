#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// Reads a trace file, whole or cut off or damaged, and trusts nothing in it.
public final class TraceReader {
  /// A chunk and where it is.
  public struct Chunk: Sendable {
    /// What stands before its bytes.
    public let header: ChunkHeader
    /// The offset of its header in the file.
    public let offset: UInt64
  }

  /// A part of the file that is no chunk.
  public struct Damage: Sendable, Equatable, CustomStringConvertible {
    /// The number of the chunk that should be there.
    public let number: UInt64
    /// Where it begins.
    public let offset: UInt64
    /// Where the next chunk begins, or the file ends.
    public let end: UInt64

    /// In one line.
    public var description: String {
      "chunk \(number) (????) at offset \(offset) is damaged: no chunk header for "
        + "\(end - offset) bytes"
    }
  }

  /// The file's path.
  public let path: String
  /// The chunks that were found, without the index.
  public private(set) var chunks: [Chunk] = []
  /// Parts in front of the last chunk that can't be read.
  public private(set) var damages: [Damage] = []
  /// Whether the file has its index: it was finished.
  public private(set) var isFinished = false
  /// Where the last whole chunk ends; a writer goes on from there.
  public private(set) var contentEnd: UInt64 = 0
  /// Bytes of the file.
  public let size: UInt64
  /// The version of the format.
  public let version: (major: UInt16, minor: UInt16)

  private let file: Int32
  private let unpacker = Unpacker()

  /// Opens a file and finds its chunks: by its index, else by looking through it.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - ignoringIndex: looks through it in any case.
  /// - Throws: why it is no trace.
  public init(_ path: String, ignoringIndex: Bool = false) throws(TraceFileError) {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw .host("\(path): \(String(cString: strerror(errno)))") }
    var info = stat()
    guard fstat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
      close(file)
      throw .host("\(path): not a regular file")
    }
    self.path = path
    self.file = file
    size = UInt64(max(info.st_size, 0))
    let header: FileHeader
    do throws(TraceFileError) {
      header = try FileHeader(Self.read(file, 0, FileHeader.size), path: path)
    } catch {
      close(file)
      throw error
    }
    version = (header.major, header.minor)
    contentEnd = UInt64(FileHeader.size)
    if ignoringIndex || !readIndex() { scan() }
  }

  deinit { close(file) }

  private static func read(_ file: Int32, _ offset: UInt64, _ count: Int) -> [UInt8] {
    guard count > 0, offset <= UInt64(Int64.max) else { return [] }
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      while used < count, let base = buffer.baseAddress {
        let got = pread(file, base + used, count - used, off_t(offset) + off_t(used))
        if got < 0, errno == EINTR { continue }
        if got <= 0 { break }
        used += got
      }
    }
  }

  private func read(_ offset: UInt64, _ count: Int) -> [UInt8] {
    guard offset <= size else { return [] }
    return Self.read(file, offset, min(count, Int(clamping: size - offset)))
  }

  // MARK: Finding chunks

  private func readIndex() -> Bool {
    let least = UInt64(FileHeader.size + Trailer.size)
    guard size >= least, let trailer = Trailer(read(size - UInt64(Trailer.size), Trailer.size)),
      trailer.index >= UInt64(FileHeader.size), trailer.index <= size,
      let header = ChunkHeader(read(trailer.index, ChunkHeader.size)), header.kind == .index,
      let bytes = try? contents(Chunk(header: header, offset: trailer.index))
    else { return false }
    var found: [Chunk] = []
    var reader = ByteReader(bytes)
    do throws(TraceFileError) {
      let count = try reader.number(upTo: reader.left / (8 + ChunkHeader.size))
      found.reserveCapacity(count)
      var end = UInt64(FileHeader.size)
      for number in 0..<count {
        let offset: UInt64 = try reader.fixed()
        guard let header = ChunkHeader(try reader.bytes(ChunkHeader.size)), offset == end,
          header.number == UInt64(number), Self.isPossible(header)
        else { return false }
        end = offset &+ UInt64(ChunkHeader.size) &+ header.storedLength
        guard end <= trailer.index else { return false }
        found.append(Chunk(header: header, offset: offset))
      }
      guard end == trailer.index, reader.isAtEnd else { return false }
    } catch {
      return false
    }
    chunks = found
    isFinished = true
    contentEnd = trailer.index
    return true
  }

  private static func isPossible(_ header: ChunkHeader) -> Bool {
    header.storedLength <= UInt64(TraceLimits.chunk) && header.length <= UInt64(TraceLimits.chunk)
  }

  /// Goes from chunk to chunk; where there is none, looks for the next.
  private func scan() {
    var offset = UInt64(FileHeader.size)
    while offset < size, chunks.count < TraceLimits.chunks {
      let bytes = read(offset, ChunkHeader.size)
      if let header = ChunkHeader(bytes), Self.isPossible(header) {
        let end = offset &+ UInt64(ChunkHeader.size) &+ header.storedLength
        // Its writer did not come to its end.
        guard end <= size else { break }
        if header.kind == .index {
          isFinished = end == size - min(UInt64(Trailer.size), size)
        } else {
          chunks.append(Chunk(header: header, offset: offset))
          contentEnd = end
        }
        offset = end
        continue
      }
      if size - offset == UInt64(Trailer.size), Trailer(read(offset, Trailer.size)) != nil { break }
      guard let next = findHeader(behind: offset + 1) else { break }
      damages.append(
        Damage(number: (chunks.last?.header.number).map { $0 &+ 1 } ?? 0, offset: offset, end: next)
      )
      offset = next
    }
  }

  /// The next place where a chunk's header is whole.
  private func findHeader(behind start: UInt64) -> UInt64? {
    let step = 1 << 20
    var at = start
    while at < size {
      // Headers that lie across two pieces are in the second look too.
      let bytes = read(at, step + ChunkHeader.size)
      guard bytes.count >= ChunkHeader.size else { return nil }
      for index in 0...(bytes.count - ChunkHeader.size)
      where bytes[index] == ChunkHeader.magic[0] && bytes[index + 1] == ChunkHeader.magic[1] {
        if let header = ChunkHeader(Array(bytes[index..<index + ChunkHeader.size])),
          Self.isPossible(header)
        {
          return at + UInt64(index)
        }
      }
      at += UInt64(step)
    }
    return nil
  }

  // MARK: Reading chunks

  /// The bytes of a chunk.
  ///
  /// - Throws: ``TraceFileError/damaged(number:kind:offset:why:)`` where they are not as written.
  public func contents(_ chunk: Chunk) throws(TraceFileError) -> [UInt8] {
    let header = chunk.header
    func damaged(_ why: String) -> TraceFileError {
      .damaged(
        number: header.number, kind: "\(header.kind)", offset: chunk.offset, why: why)
    }
    guard Self.isPossible(header) else { throw damaged("impossible length") }
    let stored = read(chunk.offset &+ UInt64(ChunkHeader.size), Int(header.storedLength))
    guard stored.count == Int(header.storedLength) else { throw damaged("the file ends in it") }
    guard XXH64.hash(stored) == header.digest else { throw damaged("wrong checksum") }
    if header.flags & ChunkHeader.Flags.packed == 0 {
      guard header.length == header.storedLength else { throw damaged("wrong length") }
      return stored
    }
    guard let bytes = unpacker.unpack(stored, count: Int(header.length)) else {
      throw damaged("it can't be unpacked")
    }
    return bytes
  }

  /// The bytes of the record that begins with chunk `index`, and the index of the one behind it.
  public func record(_ index: Int) throws(TraceFileError) -> (bytes: [UInt8], next: Int) {
    guard chunks.indices.contains(index) else { throw .missing("chunk \(index)") }
    var bytes = try contents(chunks[index])
    var at = index
    while chunks[at].header.continues {
      let before = chunks[at]
      at += 1
      guard at < chunks.count, chunks[at].header.kind == before.header.kind,
        chunks[at].header.number == before.header.number &+ 1
      else {
        throw .damaged(
          number: before.header.number, kind: "\(before.header.kind)", offset: before.offset,
          why: "the rest of its record is missing")
      }
      let more = try contents(chunks[at])
      guard bytes.count + more.count <= TraceLimits.record else {
        throw .malformed("a record of more than \(TraceLimits.record) bytes")
      }
      bytes += more
    }
    return (bytes, at + 1)
  }

  /// Reads all chunks.
  ///
  /// - Returns: what is damaged, in lines.
  public func verify() -> [String] {
    var lines = damages.map(\.description)
    for chunk in chunks {
      do throws(TraceFileError) {
        _ = try contents(chunk)
      } catch {
        lines.append(error.description)
      }
    }
    return lines
  }
}
