import Engine

/// The guest kernel's own text and data: where it was linked and what its symbols are.
///
/// The model reads the offsets in `struct task` and the addresses of entry points from here;
/// nobody repeats the numbers.
public struct KernelImage: Sendable {
  /// A loadable segment.
  public struct Segment: Sendable {
    /// Where the kernel sees it.
    public var va: UInt64
    /// Where it lies.
    public var pa: UInt64
    /// Bytes in memory.
    public var size: UInt64
    /// What may be done there.
    public var protection: PageProtection

    /// A segment of the given parts.
    public init(va: UInt64, pa: UInt64, size: UInt64, protection: PageProtection) {
      self.va = va
      self.pa = pa
      self.size = size
      self.protection = protection
    }
  }
  /// Symbol values by name, absolute symbols (`layout_…`) among them.
  public var symbols: [String: UInt64]
  /// Loadable segments.
  public var segments: [Segment]
  /// Where the image is entered.
  public var entry: UInt64

  /// An image of the given parts.
  public init(symbols: [String: UInt64], segments: [Segment], entry: UInt64) {
    self.symbols = symbols
    self.segments = segments
    self.entry = entry
  }

  /// The first physical address behind the image, page-aligned.
  public var end: UInt64 {
    var end: UInt64 = 0
    for segment in segments { end = max(end, segment.pa &+ segment.size) }
    return (end &+ 4095) & ~4095
  }
}
