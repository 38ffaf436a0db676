import Engine

/// A regular file whose pages are in frames of guest RAM: what `read` copies from is what `mmap`
/// maps (the unified page cache).
///
/// The cache holds one reference to each of its frames, and gives them back when the file is cut,
/// or when the inode's last link, open file and mapping is gone.
public class CachedFile: Inode {
  /// Frames by index of the page.
  ///
  /// Absent: a hole, or not filled yet.
  final var pages: [UInt64: UInt64] = [:]
  final var length: UInt64 = 0

  deinit {
    if fileSystem.frames.isInert { return }
    for (_, pa) in inOrder { fileSystem.releaseFrame(pa) }
  }

  /// The pages by ascending index.
  ///
  /// A dictionary's own order is another in each run, and frames that are freed in it would be
  /// handed out in it.
  final var inOrder: [(index: UInt64, pa: UInt64)] {
    pages.map { (index: $0.key, pa: $0.value) }.sorted { $0.index < $1.index }
  }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a("pages", &pages)
    a("length", &length)
    a.checkFrames(pages.values, self.fileSystem.frames)
  }

  override public var size: UInt64 { length }
  override public var isSeekable: Bool { true }
  override public var isMappable: Bool { true }

  /// The frame of a page for reading, `nil` where it is all zero.
  func frameToRead(_ index: UInt64) throws(Errno) -> UInt64? { pages[index] }

  /// The frame of a page, made where it is not there.
  func frame(_ index: UInt64) throws(Errno) -> UInt64 {
    if let pa = pages[index] { return pa }
    let pa = try fileSystem.allocateFrame()
    pages[index] = pa
    return pa
  }

  override public func page(_ index: UInt64, forWrite: Bool) throws(Errno) -> UInt64 {
    guard index < Self.pageCount(length) else { throw .EFAULT }
    return try frame(index)
  }

  override public func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  )
    throws(Errno) -> [UInt8]
  {
    guard count > 0, offset < length else { return [] }
    let total = Int(clamping: min(UInt64(count), length &- offset, UInt64(OpenFile.pieceLimit)))
    var bytes = [UInt8](repeating: 0, count: total)
    var done = 0
    while done < total {
      let position = offset &+ UInt64(done)
      let inPage = Int(position % Self.pageSize)
      let piece = min(total - done, Int(Self.pageSize) - inPage)
      do {
        if let pa = try frameToRead(position / Self.pageSize) {
          let from = pa &+ UInt64(inPage)
          let ram = fileSystem.frames.ram
          bytes.withUnsafeMutableBytes { buffer in
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + piece])
            _ = ram.read(from, into: part)
          }
        }
      } catch {
        guard done > 0 else { throw error }
        bytes.removeLast(total - done)
        return bytes
      }
      done += piece
    }
    return bytes
  }

  /// Number of pages that hold `size` bytes.
  static func pageCount(_ size: UInt64) -> UInt64 {
    size / pageSize &+ (size % pageSize == 0 ? 0 : 1)
  }
}

/// A regular file of a tmpfs: its pages are nowhere else.
///
/// - SeeAlso: Linux, `mm/shmem.c`.
public final class TmpfsFile: CachedFile {
  /// Whether it was opened with `O_TMPFILE` and may still get a name.
  var isLinkable = false

  package override func archive(_ a: Archive) {
    super.archive(a)
    a("isLinkable", &isLinkable)
  }

  override var blocks: UInt64 { UInt64(pages.count) &* (Self.pageSize / 512) }

  override public func write(
    at offset: UInt64, _ bytes: [UInt8], _ file: OpenFile? = nil
  )
    throws(Errno) -> Int
  {
    guard !bytes.isEmpty else { return 0 }
    guard offset < Self.sizeLimit else { throw .EFBIG }
    let total = Int(clamping: min(UInt64(bytes.count), Self.sizeLimit &- offset))
    clearTail(newSize: offset)
    var done = 0
    while done < total {
      let position = offset &+ UInt64(done)
      let inPage = Int(position % Self.pageSize)
      let piece = min(total - done, Int(Self.pageSize) - inPage)
      guard let pa = try? frame(position / Self.pageSize) else { break }
      bytes.withUnsafeBytes { buffer in
        let part = UnsafeRawBufferPointer(rebasing: buffer[done..<done + piece])
        _ = fileSystem.frames.ram.write(pa &+ UInt64(inPage), part)
      }
      done += piece
    }
    guard done > 0 else { throw .ENOSPC }
    length = max(length, offset &+ UInt64(done))
    modified = fileSystem.time
    changed = modified
    return done
  }

  override public func truncate(to size: UInt64) throws(Errno) {
    guard size <= Self.sizeLimit else { throw .EFBIG }
    if size < length {
      let firstGone = Self.pageCount(size)
      length = size
      unmapPages(from: firstGone)
      for (index, pa) in inOrder where index >= firstGone {
        pages[index] = nil
        fileSystem.releaseFrame(pa)
      }
      zeroTail()
    } else {
      clearTail(newSize: size)
      length = size
    }
    modified = fileSystem.time
    changed = modified
  }

  /// Before the file grows: what a mapping wrote behind its end must not show up.
  private func clearTail(newSize: UInt64) {
    if newSize > length { zeroTail() }
  }

  private func zeroTail() {
    let inPage = length % Self.pageSize
    guard inPage != 0, let pa = pages[length / Self.pageSize] else { return }
    fileSystem.frames.ram.zero(pa &+ inPage, Self.pageSize &- inPage)
  }

  override func allocate(mode: Int32, _ offset: UInt64, _ count: UInt64) throws(Errno) {
    guard mode & ~3 == 0 else { throw .EOPNOTSUPP }
    let (end, overflow) = offset.addingReportingOverflow(count)
    guard !overflow, end <= Self.sizeLimit else { throw .EFBIG }
    if mode & 2 != 0 {
      guard mode & 1 != 0 else { throw .EOPNOTSUPP }
      punch(offset, min(end, Self.pageCount(length) &* Self.pageSize))
      return
    }
    let first = offset / Self.pageSize
    let last = Self.pageCount(end)
    guard last &- first <= UInt64(fileSystem.frames.total) else { throw .ENOSPC }
    var added: [UInt64] = []
    var index = first
    while index < last {
      if pages[index] == nil {
        guard (try? frame(index)) != nil else {
          for index in added {
            if let pa = pages.removeValue(forKey: index) { fileSystem.releaseFrame(pa) }
          }
          throw .ENOSPC
        }
        added.append(index)
      }
      index &+= 1
    }
    if mode & 1 == 0, end > length {
      clearTail(newSize: end)
      length = end
    }
    changed = fileSystem.time
  }

  /// Makes a range zero.
  ///
  /// Whole pages that nobody maps are given back; mapped ones stay, zeroed.
  private func punch(_ start: UInt64, _ end: UInt64) {
    guard start < end else { return }
    for (index, pa) in inOrder {
      let page = index &* Self.pageSize
      let from = max(start, page)
      let to = min(end, page &+ Self.pageSize)
      guard from < to else { continue }
      if to &- from == Self.pageSize, fileSystem.frames.references(pa) == 1 {
        pages[index] = nil
        fileSystem.releaseFrame(pa)
      } else {
        fileSystem.frames.ram.zero(pa &+ (from &- page), to &- from)
      }
    }
    modified = fileSystem.time
    changed = modified
  }

  override func seekData(_ offset: UInt64, hole: Bool) -> UInt64? {
    let first = offset / Self.pageSize
    if hole {
      var index = first
      while pages[index] != nil { index &+= 1 }
      return min(max(offset, index &* Self.pageSize), length)
    }
    if pages[first] != nil { return offset }
    guard let next = pages.keys.lazy.filter({ $0 > first }).min() else { return nil }
    let position = next &* Self.pageSize
    return position < length ? position : nil
  }
}

/// A regular file of the host, or one given to the run: read-only.
///
/// Its pages come into frames when they are first read or mapped, and can be dropped again.
public final class HostFile: CachedFile {
  private var bytes: HostBytes
  private var origin: HostOrigin

  init(_ fileSystem: FileSystem, _ bytes: HostBytes, _ origin: HostOrigin) {
    self.bytes = bytes
    self.origin = origin
    super.init(fileSystem, FileMode(.regular, bytes.permissions))
    length = min(bytes.size, Self.sizeLimit)
    modified = Int64(clamping: bytes.modified)
    accessed = modified
    changed = modified
    created = modified
  }

  package required init(placeholderFor a: Archive) {
    bytes = HostBytes([])
    origin = .path("")
    super.init(placeholderFor: a)
  }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a.parts("bytes") {
      a("size", &bytes.size)
      a("permissions", &bytes.permissions)
      a("modified", &bytes.modified)
    }
    a("origin", &origin)
    guard a.isReading else { return }
    bytes.read = origin.reader(of: bytes, a)
  }

  override var blocks: UInt64 { length / 512 &+ (length % 512 == 0 ? 0 : 1) }

  override func frameToRead(_ index: UInt64) throws(Errno) -> UInt64? { try frame(index) }

  override func frame(_ index: UInt64) throws(Errno) -> UInt64 {
    if let pa = pages[index] { return pa }
    let offset = index &* Self.pageSize
    let count = Int(min(Self.pageSize, length &- min(offset, length)))
    guard let data = bytes.read(offset, count) else { throw .EIO }
    let pa = try fileSystem.allocateFrame()
    fileSystem.frames.ram.write(pa, Array(data.prefix(count)))
    pages[index] = pa
    return pa
  }

  /// Drops pages that only the cache holds.
  ///
  /// - Returns: how many.
  func reclaim() -> Int {
    var freed = 0
    for (index, pa) in inOrder where fileSystem.frames.references(pa) == 1 {
      pages[index] = nil
      fileSystem.releaseFrame(pa)
      freed += 1
    }
    return freed
  }

  override public func write(
    at offset: UInt64, _ bytes: [UInt8], _ file: OpenFile? = nil
  )
    throws(Errno) -> Int
  { throw .EROFS }
  override public func truncate(to size: UInt64) throws(Errno) { throw .EROFS }
  override func allocate(mode: Int32, _ offset: UInt64, _ count: UInt64) throws(Errno) {
    throw .EROFS
  }
}
