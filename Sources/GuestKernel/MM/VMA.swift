import Engine

/// Constants of `mmap` and its relatives.
///
/// - SeeAlso: Linux, `include/uapi/asm-generic/mman-common.h`, `mman.h`, `include/uapi/linux/mman.h`
public enum MM {
  /// `PROT_READ`.
  public static let PROT_READ: Int32 = 1
  /// `PROT_WRITE`.
  public static let PROT_WRITE: Int32 = 2
  /// `PROT_EXEC`.
  public static let PROT_EXEC: Int32 = 4
  /// `PROT_GROWSDOWN`.
  public static let PROT_GROWSDOWN: Int32 = 0x0100_0000
  /// `PROT_GROWSUP`.
  public static let PROT_GROWSUP: Int32 = 0x0200_0000

  /// `MAP_SHARED`.
  public static let MAP_SHARED: Int32 = 1
  /// `MAP_PRIVATE`.
  public static let MAP_PRIVATE: Int32 = 2
  /// `MAP_SHARED_VALIDATE`.
  public static let MAP_SHARED_VALIDATE: Int32 = 3
  /// The bits that hold one of the three above.
  public static let MAP_TYPE: Int32 = 15
  /// `MAP_FIXED`.
  public static let MAP_FIXED: Int32 = 0x10
  /// `MAP_ANONYMOUS`.
  public static let MAP_ANONYMOUS: Int32 = 0x20
  /// `MAP_GROWSDOWN`.
  public static let MAP_GROWSDOWN: Int32 = 0x100
  /// `MAP_DENYWRITE`: ignored.
  public static let MAP_DENYWRITE: Int32 = 0x800
  /// `MAP_EXECUTABLE`: ignored.
  public static let MAP_EXECUTABLE: Int32 = 0x1000
  /// `MAP_LOCKED`.
  public static let MAP_LOCKED: Int32 = 0x2000
  /// `MAP_NORESERVE`.
  public static let MAP_NORESERVE: Int32 = 0x4000
  /// `MAP_POPULATE`.
  public static let MAP_POPULATE: Int32 = 0x8000
  /// `MAP_NONBLOCK`.
  public static let MAP_NONBLOCK: Int32 = 0x10000
  /// `MAP_STACK`: a hint that is ignored.
  public static let MAP_STACK: Int32 = 0x20000
  /// `MAP_HUGETLB`.
  public static let MAP_HUGETLB: Int32 = 0x40000
  /// `MAP_SYNC`.
  public static let MAP_SYNC: Int32 = 0x80000
  /// `MAP_FIXED_NOREPLACE`.
  public static let MAP_FIXED_NOREPLACE: Int32 = 0x100000
  /// `MAP_UNINITIALIZED`: ignored.
  public static let MAP_UNINITIALIZED: Int32 = 0x400_0000

  /// `MREMAP_MAYMOVE`.
  public static let MREMAP_MAYMOVE: Int32 = 1
  /// `MREMAP_FIXED`.
  public static let MREMAP_FIXED: Int32 = 2
  /// `MREMAP_DONTUNMAP`.
  public static let MREMAP_DONTUNMAP: Int32 = 4

  /// `MS_ASYNC`, `MS_INVALIDATE`, `MS_SYNC`.
  public static let MS_ASYNC: Int32 = 1
  /// `MS_INVALIDATE`.
  public static let MS_INVALIDATE: Int32 = 2
  /// `MS_SYNC`.
  public static let MS_SYNC: Int32 = 4

  /// `MCL_CURRENT`.
  public static let MCL_CURRENT: Int32 = 1
  /// `MCL_FUTURE`.
  public static let MCL_FUTURE: Int32 = 2
  /// `MCL_ONFAULT`.
  public static let MCL_ONFAULT: Int32 = 4

  /// `RLIM_INFINITY`.
  public static let RLIM_INFINITY = UInt64.max

  static let pageSize: UInt64 = 4096
  static let pageMask: UInt64 = ~4095
  /// `mmap_min_addr` as distributions set it.
  static let minAddress: UInt64 = 65536
  /// `stack_guard_gap`: 256 pages.
  static let stackGuardGap: UInt64 = 256 * 4096
  /// `vm.max_map_count`.
  static let maxMapCount = 65530

  /// `PAGE_ALIGN`: zero where it wraps.
  @inline(__always)
  static func pageAlign(_ value: UInt64) -> UInt64 { (value &+ 4095) & pageMask }
}

/// What a fault came to.
public enum FaultOutcome: Sendable, Equatable {
  /// The access can be tried again.
  case handled
  /// The task gets this signal, with this `si_code`; `si_addr` is the address of the access.
  case signal(number: Int32, code: Int32)
  /// No frame was left: the task is killed, as Linux's out-of-memory killer does.
  case outOfMemory

  /// `SIGSEGV`, nothing mapped there.
  public static let mapError = FaultOutcome.signal(number: 11, code: 1)
  /// `SIGSEGV`, the mapping does not allow the access.
  public static let accessError = FaultOutcome.signal(number: 11, code: 2)
  /// `SIGBUS`, behind the end of the mapped file.
  public static let busError = FaultOutcome.signal(number: 7, code: 2)
}

/// Which translations the guest must forget before it goes on.
public enum FlushKind: Sendable, Equatable {
  /// None.
  case none
  /// Those of the page at this address.
  case page(UInt64)
  /// All.
  case all

  /// Both.
  @inline(__always)
  mutating func add(_ va: UInt64) {
    switch self {
    case .none: self = .page(va & MM.pageMask)
    case .page(let other) where other == va & MM.pageMask: break
    case .page, .all: self = .all
    }
  }
}

/// What is behind the pages of a mapping.
public enum VMABacking {
  /// Zeroes.
  case anonymous
  /// A file's pages.
  case file(OpenFile)
  /// Zeroes at first, shared by every address space that inherits the mapping.
  case shared(SharedMemory)
  /// Frames of the kernel's: `[vdso]` and the like.
  case special(SpecialPages)
}

/// Properties of a mapping besides its protection.
///
/// - SeeAlso: Linux, `include/linux/mm.h`, `VM_*`
public struct VMAFlags: OptionSet, Sendable, Hashable {
  /// The bits: this model's own numbers.
  public let rawValue: UInt16
  /// Flags of the given bits.
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  /// Writes are seen by others (`MAP_SHARED`, also of a file that is open for reading only).
  public static let shared = VMAFlags(rawValue: 1)
  /// `mprotect` may not make it writable.
  public static let neverWritable = VMAFlags(rawValue: 2)
  /// Grows towards lower addresses.
  public static let growsDown = VMAFlags(rawValue: 4)
  /// `mlock`ed.
  public static let locked = VMAFlags(rawValue: 8)
  /// `MAP_NORESERVE`.
  public static let noReserve = VMAFlags(rawValue: 16)
  /// `MADV_DONTFORK`.
  public static let dontFork = VMAFlags(rawValue: 32)
  /// `MADV_WIPEONFORK`.
  public static let wipeOnFork = VMAFlags(rawValue: 64)
  /// `mremap` may not make it longer.
  public static let dontExpand = VMAFlags(rawValue: 128)
  /// `MADV_DONTDUMP`.
  public static let dontDump = VMAFlags(rawValue: 256)
}

/// A mapping: a range of pages with one protection and one backing (`struct vm_area_struct`).
public struct VMA {
  /// The first address.
  public internal(set) var start: UInt64
  /// The first address behind it.
  public internal(set) var end: UInt64
  /// `PROT_READ`, `PROT_WRITE`, `PROT_EXEC`.
  public internal(set) var prot: Int32
  /// Its properties.
  public internal(set) var flags: VMAFlags
  /// What is behind its pages.
  public internal(set) var backing: VMABacking
  /// Which page of the backing ``start`` is: for private anonymous memory, of where it was first
  /// mapped (`vm_pgoff`).
  public internal(set) var pageOffset: UInt64
  /// What `/proc/pid/maps` calls it where it has no file: `[heap]`, `[stack]`, `[vdso]`, `[uprobes]`.
  public internal(set) var name: String?

  /// The mapped file.
  public var file: OpenFile? {
    if case .file(let file) = backing { file } else { nil }
  }
  /// Bytes.
  public var count: UInt64 { end &- start }
  /// Whether writes go to a copy.
  public var isPrivate: Bool { !flags.contains(.shared) }
  /// Whether it holds private zero-filled memory.
  public var isAnonymousPrivate: Bool {
    if case .anonymous = backing { true } else { false }
  }
}

extension VMA {
  /// The end of the guard gap below it (`vm_start_gap`).
  @inline(__always)
  var startGap: UInt64 {
    guard flags.contains(.growsDown) else { return start }
    return start > MM.stackGuardGap ? start &- MM.stackGuardGap : 0
  }

  /// Which page of the backing is at `va`.
  @inline(__always)
  func index(_ va: UInt64) -> UInt64 { pageOffset &+ ((va &- start) >> 12) }

  /// Counts towards `RLIMIT_DATA`: private, writable, not a stack.
  var isData: Bool {
    prot & MM.PROT_WRITE != 0 && !flags.contains(.shared) && !flags.contains(.growsDown)
  }

  /// The part of it in `start..<end`, which lies within.
  func part(_ start: UInt64, _ end: UInt64) -> VMA {
    var part = self
    part.start = start
    part.end = end
    part.pageOffset = index(start)
    return part
  }

  /// Whether it and `next`, which starts where this one ends, can be one mapping.
  func merges(with next: VMA) -> Bool {
    guard end == next.start, prot == next.prot, flags == next.flags, name == next.name,
      pageOffset &+ (count >> 12) == next.pageOffset
    else { return false }
    switch (backing, next.backing) {
    case (.anonymous, .anonymous): return true
    case (.file(let one), .file(let other)): return one === other
    case (.shared(let one), .shared(let other)): return one === other
    default: return false
    }
  }
}

/// Frames shared by mappings of `MAP_SHARED | MAP_ANONYMOUS` (Linux's unlinked tmpfs file).
public final class SharedMemory: Archivable {
  private var frames: PageAllocator
  private var pages: [UInt64: UInt64] = [:]

  /// Nothing but zeroes.
  init(frames: PageAllocator) { self.frames = frames }

  package init(placeholderFor a: Archive) { frames = a.placeholder(PageAllocator.self) }

  package func archive(_ a: Archive) {
    a.ref("frames", &frames)
    a("pages", &pages)
    a.checkFrames(pages.values, self.frames)
  }

  // By ascending index, so that frames are freed in the same order in each run.
  deinit {
    for (_, pa) in pages.sorted(by: { $0.key < $1.key }) where frames.owns(pa) {
      frames.release(pa)
    }
  }

  /// The frame of a page, of which this object keeps its own reference.
  func page(_ index: UInt64) throws(Errno) -> UInt64 {
    if let pa = pages[index] { return pa }
    let pa = try frames.allocate()
    pages[index] = pa
    return pa
  }
}

/// Frames that the kernel maps into programs, into many at once if it likes: `[vdso]`, `[uprobes]`.
public final class SpecialPages: Archivable {
  /// Their physical addresses.
  public private(set) var pages: [UInt64]
  private var frames: PageAllocator

  /// Frames that hold `bytes` and zeroes up to a page.
  ///
  /// - Throws: `ENOMEM`
  public init(_ bytes: [UInt8], frames: PageAllocator) throws(Errno) {
    self.frames = frames
    var pages: [UInt64] = []
    var failure: Errno?
    var offset = 0
    repeat {
      do throws(Errno) {
        let pa = try frames.allocate()
        frames.ram.write(pa, Array(bytes[offset..<min(offset + 4096, bytes.count)]))
        pages.append(pa)
      } catch {
        failure = error
        break
      }
      offset += 4096
    } while offset < bytes.count
    self.pages = pages
    // From here on `deinit` gives back what was had.
    if let failure { throw failure }
  }

  deinit { for pa in pages where frames.owns(pa) { frames.release(pa) } }

  package init(placeholderFor a: Archive) {
    pages = []
    frames = a.placeholder(PageAllocator.self)
  }

  package func archive(_ a: Archive) {
    a("pages", &pages)
    a.ref("frames", &frames)
    a.checkFrames(pages, self.frames)
    if pages.isEmpty { a.fail("special pages without a page") }
  }
}

extension VMA: Archived {
  package static func placeholder(_ a: Archive) -> VMA {
    VMA(start: 0, end: 0, prot: 0, flags: [], backing: .anonymous, pageOffset: 0, name: nil)
  }

  package mutating func archive(_ a: Archive) {
    a("start", &start)
    a("end", &end)
    a("prot", &prot)
    a("flags", &flags)
    a.parts("backing") { archiveBacking(a) }
    a("pageOffset", &pageOffset)
    a("name", &name)
  }

  private mutating func archiveBacking(_ a: Archive) {
    switch backing {
    case .anonymous: archiveBacking(a, 0)
    case .file: archiveBacking(a, 1)
    case .shared: archiveBacking(a, 2)
    case .special: archiveBacking(a, 3)
    }
  }

  private mutating func archiveBacking(_ a: Archive, _ kind: UInt8) {
    switch a.choice(kind, below: 4) {
    case 0: backing = .anonymous
    case 1:
      var file = file ?? a.placeholder(OpenFile.self)
      a.ref("file", &file)
      backing = .file(file)
    case 2:
      var memory = a.placeholder(SharedMemory.self)
      if case .shared(let own) = backing { memory = own }
      a.ref("shared", &memory)
      backing = .shared(memory)
    default:
      var pages = a.placeholder(SpecialPages.self)
      if case .special(let own) = backing { pages = own }
      a.ref("special", &pages)
      backing = .special(pages)
    }
  }
}

extension FlushKind: Archived {
  package static func placeholder(_ a: Archive) -> FlushKind { .none }
  package mutating func archive(_ a: Archive) {
    var va: UInt64 = 0
    var kind: UInt8 = 0
    switch self {
    case .none: break
    case .page(let page): (kind, va) = (1, page)
    case .all: kind = 2
    }
    kind = a.choice(kind, below: 3)
    a("", &va)
    self = kind == 0 ? .none : kind == 1 ? .page(va) : .all
  }
}
